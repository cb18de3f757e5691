"""What a target file says. Sizes are bytes, clocks MHz; where models of a board differ, the smallest is given."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from lading.datafiles import Table
from lading.units import Size

SCHEMA = 1

Architecture = Literal[
    "x86_64", "i686", "aarch64", "armv7l", "armv6l", "riscv64", "armv8-m.main", "armv7e-m", "xtensa-lx7"
]
"""As ``uname -m`` says it; for microcontrollers the instruction set of the core that hosts guests."""

Text = Annotated[str, Meta(min_length=1, max_length=2000)]
Word = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,62}$")]
Count = Annotated[int, Meta(ge=1, le=1024)]
Port = Annotated[int, Meta(ge=1, le=65535)]
Baud = Annotated[int, Meta(ge=50, le=20_000_000)]


class Cpu(Table, frozen=True):
    """The processor."""

    architecture: Architecture
    soc: Text | None = None
    core: Text | None = None
    cores: Count = 1
    clock_mhz: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    features: tuple[Word, ...] = ()
    """Linux: the flags of /proc/cpuinfo; microcontrollers: what the core's manual calls them."""
    note: Text | None = None


class Memory(Table, frozen=True):
    """Main memory. Without ``ram`` nothing is known about it."""

    ram: Size | None = None
    variants: tuple[Size, ...] = ()
    """The sizes that are sold, smallest first, where there are several."""
    run: Size | None = None
    """What one run may use, when something better is known than the rule of :func:`run_memory`."""
    note: Text | None = None


class Storage(Table, frozen=True):
    """Where releases are kept."""

    kind: Literal["sd-card", "emmc", "disk", "flash", "host"]
    size: Size | None = None
    """None where the user brings the card or disk."""
    erase_block: Size | None = None
    external: Size | None = None
    """Flash beside the microcontroller's own, on the board."""
    note: Text | None = None


class SshTransport(Table, frozen=True, tag_field="scheme", tag="ssh"):
    """Defaults for reaching the board over SSH."""

    user: Word | None = None
    port: Port = 22
    host: Word | None = None
    """The name that the usual image announces."""
    note: Text | None = None


class SerialTransport(Table, frozen=True, tag_field="scheme", tag="serial"):
    """Defaults for its Linux console."""

    baud: Baud = 115200
    user: Word | None = None
    rtscts: bool = False
    where: Text | None = None
    """Which pins or connector."""
    note: Text | None = None


class SmpSerialTransport(Table, frozen=True, tag_field="scheme", tag="serial+smp"):
    """Defaults for SMP on its serial port."""

    baud: Baud = 115200
    root: Text | None = None
    where: Text | None = None
    note: Text | None = None


class SmpUdpTransport(Table, frozen=True, tag_field="scheme", tag="udp+smp"):
    """Defaults for SMP over UDP."""

    port: Port = 1337
    root: Text | None = None
    note: Text | None = None


Transport = SshTransport | SerialTransport | SmpSerialTransport | SmpUdpTransport


class Accelerator(Table, frozen=True):
    """Something beside the CPU that computes."""

    kind: Literal["gpu", "tpu", "npu", "dsp"]
    name: Text
    note: Text | None = None


Package = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9+.-]{0,80}$")]
File = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._][A-Za-z0-9._/-]{0,200}$")]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]


class DebianEmulation(Table, frozen=True, tag_field="kind", tag="debian"):
    """A board that ``lading board`` runs: Debian on a machine of QEMU. Memory, cores and storage are the target's."""

    qemu: Annotated[str, Meta(pattern=r"^qemu-system-[a-z0-9_]{1,40}$")]
    """The program; it is named without a folder."""
    machine: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._,=-]{0,80}$")]
    cpu: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._,=-]{0,80}$")] | None = None
    """None where the machine settles it."""
    least_qemu: Annotated[str, Meta(pattern=r"^[0-9]{1,3}(\.[0-9]{1,3})?$")] | None = None
    """The first version of QEMU that has the machine."""
    buses: Literal["mmio", "pci", "raspberry-pi"] = "mmio"
    """How disk and network are attached."""
    console: Word = "ttyAMA0"
    """The UART that carries the login, as Linux calls it."""
    boot_arguments: Text | None = None
    """Added to the kernel's command line."""
    device_tree: File | None = None
    """The device tree within the kernel's package, where the machine does not make its own."""
    architecture: Annotated[str, Meta(pattern=r"^[a-z0-9]{2,20}$")] = "arm64"
    """As Debian calls it."""
    suite: Word = "bookworm"
    kernel: Package = "linux-image-cloud-arm64"
    modules: tuple[Word, ...] = ()
    """Kernel modules that disk and network need, without those that they need themselves."""
    system: Literal["busybox", "systemd"] = "busybox"
    """What process 1 is."""
    packages: tuple[Package, ...] = ()
    """Debian packages beyond those that every board has."""
    suspends: bool = True
    """Whether QEMU can save the machine whole."""
    patience_s: Annotated[int, Meta(ge=10, le=3600)] = 180
    """How long a boot may take on a busy machine."""


class ProgramEmulation(Table, frozen=True, tag_field="kind", tag="program"):
    """A board that is a program of this machine, with an SMP server on a pseudo-terminal that it names at its start."""

    package: Package
    """The package on PyPI whose source distribution holds the program."""
    file: File
    """The source distribution's file name."""
    size: Size
    sha256: Sha256
    member: File
    """The program within it."""
    console: Text
    """A regular expression for the line that names its port; the first group is the port."""
    arguments: tuple[Text, ...] = ()
    """``{flash}`` stands for the file that keeps the board's flash."""
    host: Annotated[str, Meta(pattern=r"^[a-z0-9_]{2,20}$")] = "x86_64"
    """The machines that it runs on, as ``uname -m`` says it."""
    loader: Text | None = None
    """The file that such a machine may lack, and without which the program does not start."""
    loader_package: Package | None = None
    """The Debian package that has it."""
    patience_s: Annotated[int, Meta(ge=1, le=3600)] = 30


Emulation = DebianEmulation | ProgramEmulation


Address = Annotated[int, Meta(ge=0, le=0xFFFF_FFFF)]


class Partition(Table, frozen=True):
    """A part of the flash that a firmware sets aside."""

    name: Word
    offset: Address
    """Bytes from the start of the flash."""
    size: Size
    use: Literal["boot", "firmware", "releases", "other"] = "other"
    """``releases``: the file system that lading's releases lie in."""
    note: Text | None = None


class LittleFs(Table, frozen=True):
    """The file system of the partition for releases, as the firmware mounts it."""

    block_size: Size
    """What is erased at a time."""
    prog_size: Size = field(default_factory=lambda: Size(16))
    """What is written at a time, at least; as Zephyr has it unless said otherwise."""
    cache_size: Size = field(default_factory=lambda: Size(64))
    """A file of no more lies in its folder."""


class FlashWriter(Table, frozen=True):
    """A command line that writes an image."""

    tool: Text
    command: Annotated[tuple[Text, ...], Meta(min_length=1)]
    """Word by word. ``{file}`` is the image, ``{offset}`` where it goes from the start of the flash, ``{address}`` the
    same in the processor's address space, both in hexadecimal; ``{offset-decimal}``, ``{size}``, ``{port}``."""
    note: Text | None = None


class Flash(Table, frozen=True):
    """How the flash is divided by a usual firmware, and how an image gets there."""

    known_by: Literal["measured", "declared", "inferred"]
    source: Text
    partition: Annotated[tuple[Partition, ...], Meta(min_length=1)]
    littlefs: LittleFs
    address: Address = 0
    """Where the processor sees the start of the flash."""
    external: bool = False
    """Whether it is the flash beside the microcontroller's own."""
    writer: tuple[FlashWriter, ...] = ()


class Provenance(Table, frozen=True):
    """Where the facts come from."""

    known_by: Literal["measured", "declared", "inferred"]
    sources: Annotated[tuple[Text, ...], Meta(min_length=1)]
    note: Text | None = None


class TargetTable(Table, frozen=True):
    """One target file, whole."""

    schema: int
    title: Text
    summary: Text
    kind: Literal["linux", "microcontroller"]
    profiles: Annotated[tuple[Word, ...], Meta(min_length=1)]
    """Ids of the firmware profiles that it usually carries, the usual one first."""
    cpu: Cpu
    memory: Memory
    storage: Storage
    provenance: Provenance
    transport: tuple[Transport, ...] = ()
    accelerator: tuple[Accelerator, ...] = ()
    flash: Flash | None = None
    """For images that are written to it whole; None where nothing is known of a usual layout."""
    emulation: Emulation | None = None
    """How ``lading board`` runs one; None where it cannot."""
