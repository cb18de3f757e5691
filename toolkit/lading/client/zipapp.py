"""The agent as one file: a zip application of the installed ``lading_agent`` package, the same bytes every time."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Final

import lading_agent

SHEBANG: Final = b"#!/usr/bin/env python3\n"
EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The first moment that a zip file knows."""
START: Final = "start.py"
"""The module that the zip application begins with."""


def build_agent(*, with_host: bool = True) -> bytes:
    """The agent's zip application; any Python from 3.9 on runs it.

    Members are sorted, dated 1980 and stored as they are: compressors differ from one machine to the next, and a link
    that is slow compresses for itself.

    Args:
        with_host: whether the Python host of guests (``lading_agent.nn``) is part of it; it needs more than the
            standard library.
    """
    root = Path(lading_agent.__file__).parent
    members = {"__main__.py": (root / START).read_bytes()}
    for path in root.rglob("*.py"):
        name = path.relative_to(root).as_posix()
        if with_host or not name.startswith("nn/"):
            members[f"lading_agent/{name}"] = path.read_bytes()
    packed = io.BytesIO()
    packed.write(SHEBANG)
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(name, EPOCH)
            info.create_system = 3
            info.external_attr = 0o100644 << 16
            archive.writestr(info, members[name])
    return packed.getvalue()
