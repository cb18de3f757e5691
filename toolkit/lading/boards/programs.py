"""The programs of this machine that boards need, and whether it lets an image be built."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lading.errors import BoardUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PLACES: Final = ("/usr/sbin", "/sbin", "/usr/local/sbin")
PACKAGES: Final = {
    "qemu-system-aarch64": "qemu-system-arm",
    "qemu-system-arm": "qemu-system-arm",
    "qemu-system-riscv64": "qemu-system-misc opensbi",
    "qemu-img": "qemu-utils",
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
    "unshare": "util-linux",
    "tar": "tar",
    "newuidmap": "uidmap",
    "ssh": "openssh-client",
}
"""The Debian package of each program."""
KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_VERSION: Final = re.compile(r"version (\d+(?:\.\d+)*)")


def find(program: str) -> str | None:
    """Where a program is; also in the folders of root's programs."""
    return shutil.which(program) or shutil.which(program, path=os.pathsep.join(PLACES))


def need(programs: Iterable[str], board: str, *, files: Iterable[tuple[Path, str]] = ()) -> dict[str, str]:
    """Where the programs are.

    Args:
        programs: their names.
        board: what they are for.
        files: files that have to be there, each with its Debian package.

    Raises:
        BoardUnavailable: names all that are missing, and how they are installed.
    """
    found = {program: find(program) for program in dict.fromkeys(programs)}
    missing = [program for program, path in found.items() if path is None]
    absent = [(path, package) for path, package in files if not path.exists()]
    if missing or absent:
        packages = dict.fromkeys([*(PACKAGES.get(name, name) for name in missing), *(package for _, package in absent)])
        names = ", ".join([*missing, *(str(path) for path, _ in absent)])
        verb = "is" if len(missing) + len(absent) == 1 else "are"
        raise BoardUnavailable(
            f"{board}: {names} {verb} not installed on this machine",
            remedy=f"install with: sudo apt-get install {' '.join(packages)}",
            details={"missing": missing, "packages": list(packages)},
        )
    return {name: path for name, path in found.items() if path is not None}


def version(program: str) -> tuple[int, ...]:
    """The version that a program of QEMU says it has; empty where it says none."""
    try:
        done = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=30, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    match = _VERSION.search(done.stdout)
    return tuple(int(part) for part in match[1].split(".")) if match else ()


def need_version(program: str, least: str | None, board: str) -> None:
    """Refuse a QEMU that is too old.

    Raises:
        BoardUnavailable: it does not have the machine yet.
    """
    if least is None:
        return
    has, wanted = version(program), tuple(int(part) for part in least.split("."))
    if has < wanted:
        said = ".".join(map(str, has)) or "of unknown version"
        raise BoardUnavailable(
            f"{board}: its machine needs QEMU {least} or later, and {Path(program).name} here is {said}",
            remedy="install a newer QEMU (Debian has one in its backports), or use another board: lading board list",
            details={"needed": least, "found": said},
        )


def as_root(board: str) -> tuple[str, Sequence[str]]:
    """How an image is built here, whose files belong to root: the mode of mmdebstrap, and words before a command.

    Raises:
        BoardUnavailable: this user is not root, and may not have a user namespace.
    """
    if os.geteuid() == 0:
        return "root", ()
    words = ("unshare", "--user", "--map-root-user", "--map-auto", "--mount")
    program = find("unshare")
    why = "there is no 'unshare'"
    if program is not None:
        tried = subprocess.run(
            [program, *words[1:], "true"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
        if tried.returncode == 0:
            return "unshare", (program, *words[1:])
        why = (tried.stderr.strip().splitlines() or ["unshare fails"])[-1]
    raise BoardUnavailable(
        f"{board}: its image can be built neither as root nor in a user namespace ({why[:200]})",
        remedy="build it as root, or allow user namespaces: apt-get install uidmap, lines for you in /etc/subuid and "
        "/etc/subgid, and sysctl kernel.apparmor_restrict_unprivileged_userns=0 where that is 1",
    )
