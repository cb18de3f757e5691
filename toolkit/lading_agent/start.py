"""The zip application's ``__main__``: looks whether the agent is whole, and spares it to compile itself.

An agent whose file name ends with the beginning of its own digest looks first whether that is true. Beside such a one
lies a file of compiled code (``lading_agent.bootstrap.code`` writes it): it counts if it is of exactly this agent and
this Python, and undamaged. Nothing depends on it; what is missing is made again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import marshal
import os
import re
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any, Dict, Optional, Tuple

MAGIC = b"lading-code 1\n"
HEAD = len(MAGIC) + len(importlib.util.MAGIC_NUMBER) + 64

Codes = Dict[str, Tuple[bool, bytes]]
"""Of each module's name: whether it is a package, and its marshalled code."""


class Compiled:
    """Finds and loads the modules of an agent whose compiled code is there.

    Args:
        archive: the zip application.
        codes: its modules.
    """

    def __init__(self, archive: Path, codes: Codes) -> None:
        self._archive = str(archive)
        self._codes = codes

    def find_spec(self, name: str, path: object = None, target: object = None) -> Optional[ModuleSpec]:  # noqa: ARG002
        """The module's spec; None for modules of others."""
        entry = self._codes.get(name)
        if entry is None:
            return None
        origin = self._origin(name)
        spec = ModuleSpec(name, self, origin=origin, is_package=entry[0])  # type: ignore[arg-type]
        spec.has_location = True
        if spec.submodule_search_locations is not None:
            spec.submodule_search_locations.append(os.path.dirname(origin))  # noqa: PTH120
        return spec

    def create_module(self, spec: ModuleSpec) -> None:
        """A module like any other."""

    def exec_module(self, module: Any) -> None:
        """Run the module's code."""
        exec(marshal.loads(self._codes[module.__name__][1]), module.__dict__)  # noqa: S102, S302  our own

    def get_source(self, name: str) -> str:
        """The module's text, for tracebacks."""
        import zipimport

        return zipimport.zipimporter(self._archive).get_data(self._origin(name)).decode()

    def _origin(self, name: str) -> str:
        return f"{self._archive}/{name.replace('.', '/')}{'/__init__' if self._codes[name][0] else ''}.py"


def code_path(archive: Path) -> Path:
    """Where the compiled code of an agent lies."""
    return archive.with_suffix(".code")


def head(digest: bytes, payload: bytes) -> bytes:
    """What a file of compiled code begins with: of which Python and agent it is, and the digest of what follows."""
    return MAGIC + importlib.util.MAGIC_NUMBER + digest + hashlib.sha256(payload).digest()


def read_codes(path: Path, digest: bytes) -> Optional[Codes]:
    """The compiled code of the agent with that digest; None where there is none that could be used."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    payload = data[HEAD:]
    if data[:HEAD] != head(digest, payload):
        return None
    return marshal.loads(payload)  # type: ignore[no-any-return]  # noqa: S302  its digest was right


def start() -> int:
    """Be the agent.

    Returns:
        An exit status.
    """
    archive = Path(__file__).absolute().parent
    if archive.is_symlink():  # a link may lead elsewhere while we run
        flags = (["-I"] if sys.flags.isolated else []) + (["-S"] if sys.flags.no_site else [])
        os.execv(sys.executable, [sys.executable, *flags, str(archive.resolve()), *sys.argv[1:]])  # noqa: S606
    named = re.fullmatch(r".*-([0-9a-f]{12})\.pyz", archive.name)
    if named is None:
        from lading_agent.__main__ import main

        return main()
    with archive.open("rb") as running:  # open, and locked, as long as we run: nobody removes what still runs
        with contextlib.suppress(OSError):
            fcntl.flock(running, fcntl.LOCK_SH | fcntl.LOCK_NB)
        digest = hashlib.sha256(running.read())
        if digest.hexdigest()[:12] != named.group(1):
            sys.stdout.write('\n@lading-bootstrap {"again":"the agent on the device is damaged"}\n')
            return 1
        codes = read_codes(code_path(archive), digest.digest())
        if codes is not None:
            sys.meta_path.insert(0, Compiled(archive, codes))
        from lading_agent.__main__ import main

        status = main()
        if codes is None:
            from lading_agent.bootstrap import code

            code.write(archive, digest.digest())
        return status


if __name__ == "__main__":
    status = start()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(status)  # nothing is left to be done: taking a hundred modules apart would keep the client waiting
