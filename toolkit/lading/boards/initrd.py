"""The first stage of a board's boot: an initial RAM disk that loads what disk and network need, and mounts the disk.

It also hands over what makes one board differ from another of the same image: keys and password. They lie in an archive
of their own, appended to the image's (the kernel unpacks both).
"""

from __future__ import annotations

import gzip
import lzma
import re
from typing import TYPE_CHECKING, Final

from lading.boards import rootfs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

FOLDER: Final = 0o040000
FILE: Final = 0o100000
LINK: Final = 0o120000
_DEPENDS: Final = re.compile(rb"(?:^|\0)depends=([^\0]*)\0")

_INIT: Final = """\
#!/bin/busybox sh
# Loads modules, mounts the root file system, hands over this board's identity.
PATH=/bin
/bin/busybox mkdir -p /proc /sys /dev /root
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
/bin/busybox --install -s /bin
for module in $(cat /modules/order); do insmod /modules/$module || echo "lading: $module cannot be loaded"; done
root= init=/sbin/init
for word in $(cat /proc/cmdline); do
  case $word in root=*) root=${word#root=};; esac
done
tries=0
until [ -b "$root" ]; do
  tries=$((tries + 1))
  [ $tries -lt 600 ] || { echo "lading: there is no $root"; exec sh; }
  usleep 50000
done
mount -t ext4 -o rw,noatime "$root" /root || { echo "lading: $root cannot be mounted"; exec sh; }
if [ -f /board/mark ] && ! cmp -s /board/mark /root/@MARK@; then
  cp /board/host_key /root/@HOST_KEY@
  chmod 600 /root/@HOST_KEY@
  cp /board/host_key.pub /root/@HOST_KEY@.pub
  cp /board/authorized_keys /root/@ROOT_KEYS@
  cp /board/authorized_keys /root/@USER_KEYS@
  chmod 600 /root/@ROOT_KEYS@ /root/@USER_KEYS@
  chown @UID@:@UID@ /root/@USER_KEYS@
  read hash </board/password
  sed -i "s|^@USER@:[^:]*:|@USER@:$hash:|" /root/etc/shadow
  cp /board/hostname /root/etc/hostname
  sync
  cp /board/mark /root/@MARK@
fi
tries=0 net=
while [ -z "$net" ] && [ $tries -lt 600 ]; do
  for net in $(ls /sys/class/net); do
    [ "$net" = lo ] || break
    net=
  done
  tries=$((tries + 1))
  [ -n "$net" ] || usleep 50000
done
ip addr add 10.0.2.15/24 dev "$net"
ip link set "$net" up
ip route add default via 10.0.2.2
umount /sys /proc
mount -o move /dev /root/dev
exec switch_root /root $init
"""


def init_script() -> bytes:
    """The first program that the kernel starts."""
    text = _INIT
    for word, value in {
        "@MARK@": rootfs.IDENTITY_MARK,
        "@HOST_KEY@": rootfs.HOST_KEY,
        "@ROOT_KEYS@": rootfs.ROOT_KEYS,
        "@USER_KEYS@": rootfs.USER_KEYS,
        "@UID@": str(rootfs.USER_ID),
        "@USER@": rootfs.USER,
    }.items():
        text = text.replace(word, value)
    return text.encode()


def image_part(busybox: bytes, modules: Mapping[str, bytes], init: bytes) -> bytes:
    """The RAM disk of an image.

    Args:
        busybox: the program, statically linked, for the board's processor.
        modules: kernel modules by file name, in the order in which they are loaded.
        init: the first program.
    """
    files: dict[str, tuple[int, bytes]] = {
        "bin": (FOLDER | 0o755, b""),
        "bin/busybox": (FILE | 0o755, busybox),
        "modules": (FOLDER | 0o755, b""),
        "modules/order": (FILE | 0o644, "\n".join(modules).encode()),
        **{f"modules/{name}": (FILE | 0o644, content) for name, content in modules.items()},
        "init": (FILE | 0o755, init),
    }
    packed = gzip.compress(cpio(files), compresslevel=1, mtime=0)
    return packed + bytes(-len(packed) % 512)  # the kernel finds what follows at a multiple of 4 bytes only


def board_part(files: Mapping[str, bytes]) -> bytes:
    """What one board adds: files of the folder ``/board``."""
    listed = {"board": (FOLDER | 0o700, b"")}
    return cpio({**listed, **{f"board/{name}": (FILE | 0o600, content) for name, content in files.items()}})


def cpio(files: Mapping[str, tuple[int, bytes]]) -> bytes:
    """An archive as the kernel unpacks it (``newc``): names to mode and content, folders before what they hold."""
    out = bytearray()
    for number, (name, (mode, content)) in enumerate([*files.items(), ("TRAILER!!!", (0, b""))], 1):
        encoded = name.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(encoded), 0)
        out += b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
        out += bytes(-len(out) % 4)
        out += content
        out += bytes(-len(out) % 4)
    out += bytes(-len(out) % 512)
    return bytes(out)


def collect(folder: Path, wanted: Iterable[str]) -> dict[str, bytes]:
    """Kernel modules with all that they need, in an order in which they can be loaded.

    What is built into the kernel is not there as a file, and is left away.

    Args:
        folder: ``/lib/modules/VERSION`` of the image.
        wanted: names of modules.
    """
    files = {_name(path.name): path for path in folder.rglob("*.ko*")}
    found: dict[str, bytes] = {}
    rest: list[tuple[str, bool]] = [(name, False) for name in reversed(list(wanted))]
    contents: dict[str, bytes] = {}
    while rest:
        name, ready = rest.pop()
        file = f"{name}.ko"
        if file in found or name not in files:
            continue
        if ready:
            found[file] = contents[name]
            continue
        if name in contents:
            continue  # modules that need each other: the kernel has none
        contents[name] = _unpacked(files[name])
        rest.append((name, True))
        rest += [(need, False) for need in depends(contents[name])]
    return found


def depends(module: bytes) -> list[str]:
    """The modules that a module says it needs."""
    match = _DEPENDS.search(module)
    return [name.decode().replace("-", "_") for name in match[1].split(b",") if name] if match else []


def _name(file: str) -> str:
    return file.partition(".ko")[0].replace("-", "_")


def _unpacked(path: Path) -> bytes:
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data
