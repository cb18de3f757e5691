"""What a target file says. Sizes are bytes, clocks MHz; where models of a board differ, the smallest is given."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from lading.datafiles import Table
from lading.units import Size  # noqa: TC001  # msgspec reads the annotations at run time

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
