"""The shape of ``engines/NAME-VERSION.toml``, schema 1: one version of an engine, pinned for each architecture."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from lading.datafiles import Table

SCHEMA: Final = 1

Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
VersionText = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+_-]{0,63}$")]
FileName = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+_-]{0,200}\.whl$")]
Member = Annotated[
    str, msgspec.Meta(pattern=r"^(?:(?!\.\.?/)[0-9A-Za-z._+-]+/)*(?!\.\.?$)[0-9A-Za-z._+-]+$", max_length=300)
]
Dotted = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,5}(?:\.[0-9]{1,5}){1,3}$")]
Size = Annotated[int, msgspec.Meta(ge=1, le=512 * 1024 * 1024)]
LicenceSize = Annotated[int, msgspec.Meta(ge=1, le=1024 * 1024)]


class LibraryTable(Table, frozen=True):
    """``[wheel.library]``: the shared library inside the wheel, as it lies there and as it is sent."""

    member: Member
    size: Size
    sha256: Sha256
    stripped_size: Size
    stripped_sha256: Sha256


class LicenceTable(Table, frozen=True):
    """``[[wheel.licence]]``: a file of the wheel that goes with the library."""

    member: Member
    size: LicenceSize
    sha256: Sha256


class MinimumsTable(Table, frozen=True):
    """``[wheel.minimums]``: the newest symbol version that the library wants of each system library."""

    glibc: Dotted
    glibcxx: Dotted | None = None
    cxxabi: Dotted | None = None
    libgcc: Dotted | None = None


class WheelTable(Table, frozen=True):
    """``[[wheel]]``: where the engine comes from for one architecture."""

    architecture: Literal["x86_64", "aarch64"]
    file: FileName
    size: Size
    sha256: Sha256
    library: LibraryTable
    minimums: MinimumsTable
    licence: tuple[LicenceTable, ...] = ()


class EngineTable(Table, frozen=True):
    """The whole file."""

    schema: int
    name: Literal["wasmtime", "litert"]
    version: VersionText
    package: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$")]
    """As the package registry calls it."""
    licence: str
    """SPDX expression."""
    wheel: tuple[WheelTable, ...]
    default: bool = False
    """Taken where nobody asks for a version."""
