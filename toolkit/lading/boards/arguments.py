"""The command line of a board's machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from lading.boards.image import Image
    from lading.targets.schema import DebianEmulation

MIB: Final = 1024 * 1024
SNAPSHOT: Final = "suspended"

_ROOT: Final = {"mmio": "/dev/vda", "pci": "/dev/vda", "raspberry-pi": "/dev/mmcblk0"}


@dataclass(frozen=True)
class Ports:
    """The ports of 127.0.0.1 that lead to a board."""

    ssh: int
    console: int


def machine(
    program: str,
    emulation: DebianEmulation,
    *,
    name: str,
    memory_bytes: int,
    cores: int,
    image: Image,
    disk: Path,
    initrd: Path,
    ports: Ports,
    resume: bool = False,
) -> list[str]:
    """The words that start a board; the machine's folder is its current one.

    Args:
        program: QEMU.
        emulation: what kind of machine.
        name: the board's.
        memory_bytes: main memory.
        cores: of its processor.
        image: kernel and disk.
        disk: what it writes, over the image's.
        initrd: the image's first stage, with the board's identity.
        ports: where it is reached.
        resume: go on with the machine that waits within the disk.
    """
    said = ["console=" + emulation.console, "root=" + _ROOT[emulation.buses], "rw", "quiet", "net.ifnames=0", "panic=1"]
    if emulation.boot_arguments is not None:
        said.append(emulation.boot_arguments)
    words = [
        *(program, "-name", f"lading-{name}", "-nodefaults", "-no-user-config", "-display", "none"),
        *("-machine", emulation.machine, "-accel", "tcg,thread=multi", "-smp", str(cores)),
        *("-m", f"{memory_bytes // MIB}M", "-rtc", "base=utc,clock=host"),
        *("-kernel", str(image.kernel), "-initrd", str(initrd), "-append", " ".join(said)),
        *("-qmp", "unix:qmp,server=on,wait=off"),
        # Without nodelay small frames take ten times as long.
        "-chardev",
        f"socket,id=uart,host=127.0.0.1,port={ports.console},server=on,wait=off,nodelay=on",
        *("-serial", "chardev:uart"),
        *("-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{ports.ssh}-:22"),
    ]
    if emulation.cpu is not None:
        words += ["-cpu", emulation.cpu]
    if image.device_tree is not None:
        words += ["-dtb", str(image.device_tree)]
    words += _devices(emulation, str(disk).replace(",", ",,"))
    if resume:
        words += ["-loadvm", SNAPSHOT]
    return words


def _devices(emulation: DebianEmulation, disk: str) -> list[str]:
    if emulation.buses == "raspberry-pi":
        return ["-drive", f"if=sd,format=qcow2,file={disk}", "-device", "usb-net,netdev=net"]
    suffix = "device" if emulation.buses == "mmio" else "pci"
    return [
        *("-drive", f"if=none,id=disk,format=qcow2,discard=unmap,file={disk}"),
        *("-device", f"virtio-blk-{suffix},drive=disk"),
        *("-device", f"virtio-net-{suffix},netdev=net"),
        *("-device", f"virtio-rng-{suffix}"),
    ]
