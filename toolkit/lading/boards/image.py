"""A board's image: built once from its recipe, and kept in the user's cache.

::

    CACHE/boards/<digest of the recipe>/disk.qcow2     the root file system: ext4 with a journal, as a real card has
                                        vmlinuz, initrd, [device.dtb]
                                        recipe.json    what it was made of
    CACHE/boards/.<digest>.lock                        one build at a time

A folder appears whole, by rename(2), or not at all.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lading import datafiles
from lading.boards import initrd, programs, rootfs
from lading.errors import BoardBuildFailed, BoardUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lading.boards.recipe import Recipe

    Said = Callable[[str], None]

NEEDS: Final = ("mmdebstrap", "mke2fs", "qemu-img", "tar")
MIRROR: Final = "http://deb.debian.org/debian"
"""The release alone, without later updates: a board that reaches nobody needs none, and one mirror is less to fail."""
ROOM: Final = 2 * 1024**3
"""Bytes that a build needs for a moment."""
DROPPED: Final = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "usr/share/lintian", "boot")
_STDLIB_DROPPED: Final = "/(test|idlelib|lib2to3|turtledemo|tkinter|pydoc_data|ensurepip|distutils)/"

_ASSEMBLE: Final = """\
set -eu
cd "$1"
mkdir root
tar -x -f unpacked.tar -C root --numeric-owner --exclude './dev/*'
mv root/boot boot
mkdir root/boot
cp -a root/lib/modules modules
[ -z "$DEVICE_TREE" ] || cp root/usr/lib/linux-image-*/"$DEVICE_TREE" device.dtb
cp root/bin/busybox busybox
rm -rf root/lib/modules/*/kernel root/usr/lib/linux-image-*
for folder in bin sbin lib; do
  if [ ! -L root/$folder ]; then
    cp -al root/$folder/. root/usr/$folder/
    rm -rf root/$folder
    ln -s usr/$folder root/$folder
  fi
done
cat root/usr/share/ca-certificates/mozilla/*.crt >certificates
mkdir -p root/etc/ssl/certs
mv certificates root/etc/ssl/certs/ca-certificates.crt
chown 0:0 root/etc/ssl/certs/ca-certificates.crt
tar -x -f written.tar -C root --numeric-owner
for python in root/usr/lib/python3.*; do
  [ "${python##*/}" != "$PYTHON_LIBRARY" ] || "$PYTHON" -I -m compileall -q -j 0 -x "$PYTHON_LEFT_OUT" \\
    -s "$PWD/root" -p / "$python" >/dev/null || true
done
chmod 755 root
"$MKE2FS" -q -F -t ext4 -m 0 -L board -O has_journal -E lazy_itable_init=1,lazy_journal_init=1,root_owner=0:0 \\
  -d root disk.raw "$DISK_KIB"k
rm -rf root unpacked.tar written.tar
"""


@dataclass(frozen=True)
class Image:
    """An image that is there."""

    folder: Path
    digest: str

    @property
    def disk(self) -> Path:
        """The root file system, which boards only read."""
        return self.folder / "disk.qcow2"

    @property
    def kernel(self) -> Path:
        """What the machine starts."""
        return self.folder / "vmlinuz"

    @property
    def initrd(self) -> Path:
        """The first stage, without what makes one board differ from another."""
        return self.folder / "initrd"

    @property
    def device_tree(self) -> Path | None:
        """What tells the kernel about the machine, where the machine does not."""
        path = self.folder / "device.dtb"
        return path if path.exists() else None


def folder() -> Path:
    """Where images are kept; it need not exist."""
    return datafiles.user_cache_dir() / "boards"


def present(digest: str) -> Image | None:
    """The image of a recipe, if it was built."""
    path = folder() / digest
    return Image(path, digest) if (path / "recipe.json").exists() else None


def build(recipe: Recipe, board: str, *, said: Said = lambda _text: None, again: bool = False) -> Image:
    """The image of a recipe, built where it is missing.

    Args:
        recipe: what it is made of.
        board: what it is for, in messages.
        said: told what is being done.
        again: build it also when it is there, with the packages of today.

    Raises:
        BoardUnavailable: a program is missing, or the right to make files that belong to root.
        BoardBuildFailed: it could not be built; nothing of it is left.
    """
    digest = recipe.digest
    found = present(digest)
    if found is not None and not again:
        return found
    found_programs = programs.need(NEEDS, board, files=((programs.KEYRING, "debian-archive-keyring"),))
    mode, prefix = programs.as_root(board)
    root = folder()
    root.mkdir(parents=True, exist_ok=True)
    with _alone(root, digest, said):
        found = present(digest)
        if found is not None and not again:
            return found
        _sweep(root, digest)
        free = shutil.disk_usage(root).free
        if free < ROOM:
            raise BoardUnavailable(
                f"{board}: {root} has {free // 1000**2} MB free, and a build needs {ROOM // 1000**2} MB for a moment",
                remedy="make room there",
            )
        work = Path(tempfile.mkdtemp(prefix=f".new-{digest}-", dir=root))
        try:
            _make(work, recipe, board, mode, prefix, found_programs, said)
            made = work / "made"
            final = root / digest
            if final.exists():
                final.rename(work / "before")
            made.rename(final)
        finally:
            _remove(work, prefix)
    return Image(folder() / digest, digest)


def _make(
    work: Path,
    recipe: Recipe,
    board: str,
    mode: str,
    prefix: Sequence[str],
    found: dict[str, str],
    said: Said,
) -> None:
    said(f"unpacking {len(recipe.packages) + 1} packages of Debian {recipe.suite} for {recipe.architecture}")
    words = [
        *(found["mmdebstrap"], f"--mode={mode}", "--format=tar", f"--arch={recipe.architecture}", "--variant=extract"),
        f"--include={','.join((*recipe.packages, recipe.kernel))}",
        *("--aptopt=Acquire::Check-Valid-Until false", "--aptopt=Acquire::Check-Date false"),
        f'--extract-hook=cd "$1" && rm -rf {" ".join(path for path in DROPPED if path != "boot")}',
        *(recipe.suite, str(work / "unpacked.tar"), f"deb {MIRROR} {recipe.suite} main"),
    ]
    _run(words, work, board, "Debian's packages cannot be had")
    (work / "written.tar").write_bytes(rootfs.as_tar(rootfs.entries(recipe.system, recipe.console)))
    said("making the file system")
    (work / "assemble").write_text(_ASSEMBLE)
    environment = {
        "MKE2FS": found["mke2fs"],
        "DISK_KIB": str(recipe.disk_bytes // 1024),
        "DEVICE_TREE": recipe.device_tree or "",
        "PYTHON": sys.executable,
        "PYTHON_LIBRARY": f"python3.{sys.version_info[1]}",
        "PYTHON_LEFT_OUT": _STDLIB_DROPPED,
    }
    _run([*prefix, "sh", str(work / "assemble"), str(work)], work, board, "the file system cannot be made", environment)
    made = work / "made"
    made.mkdir()
    kernels = sorted((work / "boot").glob("vmlinu[xz]-*"))
    modules = sorted((work / "modules").iterdir())
    if not kernels or not modules:
        raise BoardBuildFailed(f"{board}: {recipe.kernel} holds no kernel", remedy="name a package linux-image-…")
    loaded = initrd.collect(modules[-1], recipe.modules)
    (made / "initrd").write_bytes(initrd.image_part((work / "busybox").read_bytes(), loaded, initrd.init_script()))
    shutil.copyfile(kernels[-1], made / "vmlinuz")
    if recipe.device_tree is not None:
        shutil.copyfile(work / "device.dtb", made / "device.dtb")
    convert = [found["qemu-img"], "convert", "-O", "qcow2", str(work / "disk.raw"), str(made / "disk.qcow2")]
    _run(convert, work, board, "the disk image cannot be made")
    (made / "recipe.json").write_text(json.dumps(asdict(recipe), indent=1))
    made.chmod(0o755)


def _run(words: Sequence[str], work: Path, board: str, what: str, more: dict[str, str] | None = None) -> None:
    """Run a step of the build; whatever it started is gone when it fails or is interrupted."""
    environment = {**os.environ, **(more or {}), "LC_ALL": "C.UTF-8", "TMPDIR": os.environ.get("TMPDIR", "/tmp")}  # noqa: S108
    with (work / "log").open("w+b") as log:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
        )
        try:
            status = process.wait()
        except BaseException:
            # mmdebstrap takes its folder and its mounts away when it is asked to end.
            _end(process)
            raise
        log.seek(0)
        said = log.read().decode("utf-8", "replace")
    if status:
        lines = [line for line in said.splitlines() if line.strip()]
        last = next((line for line in lines if line.startswith("E:")), lines[-1] if lines else "nothing")
        raise BoardBuildFailed(
            f"{board}: {what}: {Path(words[0]).name} ended with status {status} ({last[:300]})",
            remedy="see that this machine reaches a Debian mirror, and that its clock is right",
            details={"said": said[-4000:]},
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGINT)
        os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(20)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def _alone(root: Path, digest: str, said: Said) -> Iterator[None]:
    with (root / f".{digest}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            said("another process builds the same image: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _sweep(root: Path, digest: str) -> None:
    """Take away what builds of this image left that were killed. Whoever calls holds the image's lock."""
    for path in root.glob(f".new-{digest}-*"):
        shutil.rmtree(path, ignore_errors=True)


def _remove(work: Path, prefix: Sequence[str]) -> None:
    if prefix and (work / "root").exists():  # its files belong to others than this user
        subprocess.run([*prefix, "rm", "-rf", str(work / "root")], check=False, capture_output=True)
    shutil.rmtree(work, ignore_errors=True)
