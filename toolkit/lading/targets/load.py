"""Finding and reading targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lading import datafiles, names
from lading.targets.schema import SCHEMA, DebianEmulation, TargetTable, Transport

if TYPE_CHECKING:
    from pathlib import Path

KIND: Final = "targets"
PROFILES: Final = "firmware_profiles"
_MIB: Final = 1024 * 1024

LINUX_RESERVE: Final = 192 * _MIB
"""What a headless Linux keeps at least: kernel, services, an SSH session, the agent, graphics memory set aside."""


@dataclass(frozen=True)
class Target:
    """A kind of board. The id is the stem of its file."""

    id: str
    path: Path
    origin: datafiles.Origin
    table: TargetTable

    @property
    def title(self) -> str:
        """The board's name as people write it."""
        return self.table.title

    @property
    def architecture(self) -> str:
        """As ``uname -m`` says it."""
        return self.table.cpu.architecture

    @property
    def memory_bytes(self) -> int | None:
        """Main memory of the smallest model; None where it is not known."""
        return self.table.memory.ram

    @property
    def run_memory_bytes(self) -> int | None:
        """What one run may use (see :func:`run_memory`); None where nothing limits it."""
        return run_memory(self.table)

    @property
    def storage_bytes(self) -> int | None:
        """Its own storage; None where the user brings it."""
        return self.table.storage.size

    @property
    def profiles(self) -> tuple[str, ...]:
        """Ids of the firmware profiles that it usually carries, the usual one first."""
        return self.table.profiles

    @property
    def transports(self) -> tuple[Transport, ...]:
        """How it is reached, with defaults."""
        return self.table.transport

    def resolved(self) -> dict[str, Any]:
        """JSON-ready: everything that an agent, a check or a person needs to know about the target."""
        table = _snake(datafiles.to_builtins(self.table))
        return {
            "schema": SCHEMA,
            "id": self.id,
            "name": self.title,
            "summary": self.table.summary,
            "kind": self.table.kind,
            "architecture": self.architecture,
            "memory_bytes": self.memory_bytes,
            "run_memory_bytes": self.run_memory_bytes,
            "storage_bytes": self.storage_bytes,
            "profiles": list(self.profiles),
            "transports": table["transport"],
            "accelerators": table["accelerator"],
            "cpu": table["cpu"],
            "memory": table["memory"],
            "storage": table["storage"],
            "flash": table["flash"],
            "emulation": table["emulation"],
            "provenance": table["provenance"],
            "origin": self.origin,
        }


def run_memory(table: TargetTable) -> int | None:
    """What one run may use, in bytes.

    The file's own ``memory.run`` where it says so. Otherwise main memory without a quarter, which is left to the
    system; on Linux at least `LINUX_RESERVE` is left, but never more than half.
    """
    ram = table.memory.ram
    if table.memory.run is not None or ram is None:
        return table.memory.run
    reserve = ram // 4
    if table.kind == "linux":
        reserve = min(max(reserve, LINUX_RESERVE), ram // 2)
    return ram - reserve


def ids(project_dir: Path | None = None) -> list[str]:
    """The ids of all targets, sorted."""
    return list(datafiles.search(KIND, project_dir))


def find(name: str, project_dir: Path | None = None) -> Target:
    """The target that ``name`` (exact, or a unique prefix) stands for.

    Raises:
        NameNotFound, NameNotUnique: no such target, or several.
        DataFileError: its file is wrong.
    """
    files = datafiles.search(KIND, project_dir)
    return _load(files[names.find(name, files, "target")], project_dir)


def all_targets(project_dir: Path | None = None, *, skipped: datafiles.Skipped | None = None) -> list[Target]:
    """All targets, in order of their ids.

    Args:
        project_dir: the project whose own targets count as well.
        skipped: is told of each file that is wrong, which then is not among the targets.

    Raises:
        DataFileError: one of the files is wrong, and there is no ``skipped``.
    """
    files = datafiles.search(KIND, project_dir).values()
    found = datafiles.usable(files, lambda file: _load(file, project_dir), skipped)
    datafiles.tell_misnamed(KIND, project_dir, skipped)
    return list(found.values())


def load_target(path: Path, project_dir: Path | None = None) -> Target:
    """Read one target file, wherever it lies; ``project_dir`` is the project whose firmware profiles it may name.

    Raises:
        DataFileError: names file, key, cause and remedy.
    """
    return _load(datafiles.data_file(path, KIND, "user"), project_dir)


def _load(file: datafiles.DataFile, project_dir: Path | None) -> Target:
    table = datafiles.load(file.path, TargetTable, schema=SCHEMA)
    for rule in _RULES:
        rule(table, str(file.path))
    if file.origin != "shipped":  # what is shipped together is tested together
        _check_profiles(table, str(file.path), project_dir)
    return Target(file.id, file.path, file.origin, table)


def _check_memory(table: TargetTable, where: str) -> None:
    memory = table.memory
    if memory.variants and memory.variants != tuple(sorted(set(memory.variants))):
        raise datafiles.invalid(where, "memory.variants", "is not in rising order", remedy="smallest first, each once")
    if memory.variants and memory.ram != memory.variants[0]:
        raise datafiles.invalid(
            where, "memory.ram", "is not the smallest of memory.variants", remedy="give the smallest: apps must fit it"
        )
    if memory.run is not None and memory.ram is not None and memory.run > memory.ram:
        raise datafiles.invalid(
            where, "memory.run", "is more than memory.ram", remedy="a run cannot use more than the board has"
        )
    for key, size in (("memory.ram", memory.ram), ("memory.run", memory.run), ("storage.size", table.storage.size)):
        if size == 0:
            raise datafiles.invalid(where, key, "is 0", remedy="leave it away when it is not known")


def _check_kind(table: TargetTable, where: str) -> None:
    if table.kind == "microcontroller" and table.storage.kind not in {"flash", "host"}:
        raise datafiles.invalid(
            where, "storage.kind", f"'{table.storage.kind}' on a microcontroller", remedy="write kind = 'flash'"
        )
    smp = [t for t in table.transport if type(t).__struct_config__.tag in {"serial+smp", "udp+smp"}]
    if table.kind == "linux" and smp:
        raise datafiles.invalid(
            where, "transport", "SMP is what microcontrollers speak", remedy="use ssh or serial, or change kind"
        )


def _check_profiles(table: TargetTable, where: str, project_dir: Path | None) -> None:
    known = datafiles.search(PROFILES, project_dir)
    for index, profile in enumerate(table.profiles):
        if profile not in known:
            close = names.near(profile, known)
            raise datafiles.invalid(
                where,
                f"profiles[{index}]",
                f"there is no firmware profile '{profile}'",
                remedy=f"did you mean '{close[0]}'?" if close else f"known are {', '.join(known)}",
            )


def _check_unique(table: TargetTable, where: str) -> None:
    for key, items in (("profiles", table.profiles), ("cpu.features", table.cpu.features)):
        twice = sorted({i for i in items if items.count(i) > 1})
        if twice:
            raise datafiles.invalid(where, key, f"'{twice[0]}' is there twice", remedy="give it once")


def _check_emulation(table: TargetTable, where: str) -> None:
    if not isinstance(table.emulation, DebianEmulation):
        return
    for key, size in (("memory.ram", table.memory.ram), ("storage.size", table.storage.size)):
        if size is None:
            raise datafiles.invalid(where, key, "is missing", remedy="say how much the machine of [emulation] has")


def _check_flash(table: TargetTable, where: str) -> None:
    flash = table.flash
    if flash is None:
        return
    if table.kind != "microcontroller":
        raise datafiles.invalid(where, "flash", "on a board with an operating system", remedy="leave it out")
    whole = table.storage.external if flash.external else table.storage.size
    end, before = 0, ""
    for index, partition in enumerate(flash.partition):
        key = f"flash.partition[{index}]"
        if partition.offset < end:
            raise datafiles.invalid(
                where, f"{key}.offset", f"begins before '{before}' ends", remedy="give partitions in order, apart"
            )
        end, before = partition.offset + partition.size, partition.name
        if whole is not None and end > whole:
            raise datafiles.invalid(where, f"{key}.size", "reaches past the flash", remedy="see storage for its size")
    block = flash.littlefs.block_size
    releases = [p for p in flash.partition if p.use == "releases"]
    if len(releases) != 1:
        raise datafiles.invalid(
            where,
            "flash.partition",
            f"{len(releases)} partitions are for releases",
            remedy="write use = 'releases' in one",
        )
    if block < 128 or releases[0].offset % block or releases[0].size % block or releases[0].size < 2 * block:
        raise datafiles.invalid(
            where,
            "flash.littlefs.block-size",
            f"partition '{releases[0].name}' is not made of at least two blocks of {block} bytes",
            remedy="offset and size have to be multiples of it",
        )


_RULES: Final = (_check_memory, _check_kind, _check_unique, _check_emulation, _check_flash)


def _snake(value: Any) -> Any:
    """Keys as JSON documents spell them (``like_this``)."""
    if isinstance(value, dict):
        return {k.replace("-", "_"): _snake(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_snake(v) for v in value]
    return value
