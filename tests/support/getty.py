"""The system's own ``agetty`` and ``login`` on a console, with a user that exists nowhere else.

They run in a mount namespace of their own, in which the files of users are others, and logs and run-time data go to
folders that are gone afterwards: nothing of the machine is changed. Only root may do that.
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.programs import need

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

USER = "pi"
PASSWORD = "correct horse"
_HASH = "$6$ladingtest$sa80J4Nyk6TvYRU.XZQJU0mIGPJRSR9vnsmXjkCUK/z.2WZC4MgWz.7sidaITb2qi1F2SimbsYn7zJoDz.WIS/"
_PAM = """\
auth required pam_unix.so
account required pam_unix.so
session required pam_unix.so
"""


def getty(folder: Path, home: Path, *, timeout_s: int = 60) -> Sequence[str]:
    """The command for a console at which :data:`USER` can log in; skipped where it cannot run, in CI it fails.

    Args:
        folder: for files.
        home: the user's folder.
        timeout_s: how long ``login`` waits for a password.
    """
    programs = {name: need(name) for name in ("agetty", "login", "unshare", "mount")}
    ci = os.environ.get("CI") == "true"
    allowed = (
        os.getuid() == 0
        and subprocess.run([programs["unshare"], "-m", "true"], check=False, capture_output=True).returncode == 0
    )
    if not allowed:
        why = "only root may start a login on a console of its own"
        if ci and os.getuid() == 0:
            pytest.fail(f"{why}, in a mount namespace: unshare -m does not work here")
        pytest.skip(why)
    files = {
        "passwd": f"root:x:0:0::/root:/bin/sh\n{USER}:x:0:0::{home}:/bin/bash\n",
        "shadow": f"root:*:19000::::::\n{USER}:{_HASH}:19000::::::\n",
        "group": "root:x:0:\ntty:x:5:\n",
        "login.defs": f"LOGIN_TIMEOUT {timeout_s}\nLOGIN_RETRIES 3\nTTYGROUP tty\nTTYPERM 0600\n",
        "pam.d/login": _PAM,
        "profile": "PS1='\\u@board:\\w\\$ '\nPATH=/usr/local/bin:/usr/bin:/bin\n",
        "motd": "\x1b[31mUnauthorized access is not allowed.\x1b[0m 100%\n",
    }
    lines = ["#!/bin/sh", "set -e", "mount --make-rprivate /"]
    lines += [f"mount -t tmpfs none {where}" for where in ("/var/log", "/run")]
    for name, text in files.items():
        path = folder / name.replace("/", "-")
        path.write_text(text)
        path.chmod(0o640)
        lines.append(f"[ ! -e /etc/{name} ] || mount --bind {path} /etc/{name}")
    lines.append(f"exec {programs['agetty']} -8 -L --noclear --nohints - 115200 vt100")
    script = folder / "getty"
    script.write_text("\n".join(lines) + "\n")
    script.chmod(0o755)
    return [programs["unshare"], "-m", str(script)]
