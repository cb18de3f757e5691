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
MAIN: Final = b"""\
import fcntl
import hashlib
import os
import re
import sys

archive = os.path.dirname(os.path.abspath(__file__))
if os.path.islink(archive):  # a link may lead elsewhere while we run
    flags = (["-I"] if sys.flags.isolated else []) + (["-S"] if sys.flags.no_site else [])
    os.execv(sys.executable, [sys.executable, *flags, os.path.realpath(archive), *sys.argv[1:]])
named = re.fullmatch(r".*-([0-9a-f]{12})\\.pyz", os.path.basename(archive))
if named is not None:
    running = open(archive, "rb")  # open, and locked, as long as we run: nobody removes what still runs
    try:
        fcntl.flock(running, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        pass
    if hashlib.sha256(running.read()).hexdigest()[:12] != named.group(1):
        sys.stdout.write('\\n@lading-bootstrap {"again":"the agent on the device is damaged"}\\n')
        sys.exit(1)

from lading_agent.__main__ import main

sys.exit(main())
"""
"""Starts the agent. One whose file name ends with the beginning of its own digest looks first whether that is true."""


def build_agent(*, with_host: bool = True) -> bytes:
    """The agent's zip application; any Python from 3.9 on runs it.

    Members are sorted, dated 1980 and stored as they are: compressors differ from one machine to the next, and a link
    that is slow compresses for itself.

    Args:
        with_host: whether the Python host of guests (``lading_agent.nn``) is part of it; it needs more than the
            standard library.
    """
    root = Path(lading_agent.__file__).parent
    members = {"__main__.py": MAIN}
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
