"""Compiled code of the agent, beside it: a zip application has none, and would compile itself at every start."""

from __future__ import annotations

import contextlib
import marshal
import os
from typing import TYPE_CHECKING

from lading_agent.start import Codes, code_path, head

if TYPE_CHECKING:
    from pathlib import Path

INIT = ".__init__"


def write(archive: Path, digest: bytes) -> None:
    """Compile an agent, and put the code beside it by rename. Where that cannot be done nothing is lost but time.

    Args:
        archive: the zip application.
        digest: its SHA-256.
    """
    # The name is that of something on its way: should this process die, the next installation takes it away.
    scratch = archive.with_name(f"incoming-{os.getpid()}.code")
    try:
        payload = marshal.dumps(_compiled(archive))
        scratch.write_bytes(head(digest, payload) + payload)
        scratch.replace(code_path(archive))
    except (OSError, ImportError):
        with contextlib.suppress(OSError):
            scratch.unlink()


def _compiled(archive: Path) -> Codes:
    from zipfile import ZipFile

    codes: Codes = {}
    with ZipFile(archive) as members:
        for member in members.namelist():
            name = member[: -len(".py")].replace("/", ".")
            if not member.endswith(".py") or name == "__main__":
                continue
            is_package = name.endswith(INIT)
            # What the agent is called here: a traceback says where its text is.
            code = compile(members.read(member), f"{archive}/{member}", "exec", dont_inherit=True)
            codes[name[: -len(INIT)] if is_package else name] = (is_package, marshal.dumps(code))
    return codes
