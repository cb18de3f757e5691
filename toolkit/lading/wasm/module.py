"""What a WebAssembly module says about itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

PAGE_BYTES: Final = 65536

NN_MODULES: Final = ("wasi_ephemeral_nn", "wasi_nn")
"""The import modules of wasi-nn's WITX ABI, and of its legacy form."""

WASI_MODULES: Final = {"wasi_snapshot_preview1": "preview1", "wasi_unstable": "unstable"}

Kind = Literal["func", "table", "memory", "global", "tag"]


class FuncType(NamedTuple):
    """A signature. Value types as in the text format; references as ``funcref``, ``(ref null 3)`` …"""

    params: tuple[str, ...]
    results: tuple[str, ...]

    def __str__(self) -> str:
        return f"({', '.join(self.params)}) -> ({', '.join(self.results)})"


class Limits(NamedTuple):
    """Size of a memory (in pages) or a table (in elements)."""

    minimum: int
    maximum: int | None
    shared: bool = False
    is64: bool = False
    page_bytes: int = PAGE_BYTES


class TableType(NamedTuple):
    """A table's elements and size."""

    element: str
    limits: Limits


class GlobalType(NamedTuple):
    """A global's type, and whether it can change."""

    type: str
    mutable: bool


class Import(NamedTuple):
    """Something that the module needs from its host."""

    module: str
    name: str
    kind: Kind
    type: FuncType | Limits | TableType | GlobalType | None
    """The signature of a function or tag, the size of a memory or table …"""


@dataclass(frozen=True)
class Export:
    """Something that the module shows to its host."""

    name: str
    kind: Kind
    index: int


@dataclass
class FeatureUse:
    """A feature beyond the first version of WebAssembly that the module uses."""

    name: str
    where: str
    """What uses it, where it was first seen."""
    offset: int
    """Of that place, in bytes from the start of the file."""
    count: int = 1


class Producer(NamedTuple):
    """An entry of the ``producers`` section: ``("processed-by", "clang", "19.1")``."""

    role: str
    name: str
    version: str


class TargetFeature(NamedTuple):
    """An entry of the ``target_features`` section: ``+`` used, ``-`` forbidden, ``=`` required."""

    prefix: str
    name: str


class CustomSection(NamedTuple):
    """A section that engines ignore."""

    name: str
    size: int


@dataclass
class Module:
    """A core module, or the outside of a component (``kind``)."""

    kind: Literal["core", "component"]
    size_bytes: int
    types: list[FuncType | None] = field(default_factory=list)
    """By type index; None for struct and array types."""
    imports: list[Import] = field(default_factory=list)
    exports: list[Export] = field(default_factory=list)
    functions: list[int] = field(default_factory=list)
    """Type index of each function, imported ones first."""
    tables: list[TableType] = field(default_factory=list)
    memories: list[Limits] = field(default_factory=list)
    globals: list[GlobalType] = field(default_factory=list)
    tags: list[int] = field(default_factory=list)
    """Type index of each exception tag."""
    start: int | None = None
    elements: int = 0
    """Number of element segments."""
    data_segments: int = 0
    data_bytes: int = 0
    code_bytes: int = 0
    custom: list[CustomSection] = field(default_factory=list)
    name: str | None = None
    """From the ``name`` section."""
    producers: list[Producer] = field(default_factory=list)
    target_features: list[TargetFeature] = field(default_factory=list)
    features: dict[str, FeatureUse] = field(default_factory=dict)
    """By name; found in the module's structure and by decoding all of its code."""
    component_imports: list[str] = field(default_factory=list)
    component_exports: list[str] = field(default_factory=list)

    @property
    def has_entry(self) -> bool:
        """Whether it is a command: a ``_start`` function without parameters and results."""
        return self.exported_function("_start") == FuncType((), ())

    @property
    def memory(self) -> Limits | None:
        """The memory exported as ``memory``, the one that hosts read arguments from."""
        for export in self.exports:
            if export.kind == "memory" and export.name == "memory":
                return self.memories[export.index]
        return None

    @property
    def memory_bytes(self) -> int:
        """What all memories take when the module starts."""
        return sum(limits.minimum * limits.page_bytes for limits in self.memories)

    @property
    def wasi(self) -> str:
        """``none``, ``unstable``, ``preview1``, or a component's version (``0.2``); several are joined by ``+``."""
        if self.kind == "component":
            found = {name.partition("@")[2] for name in self.component_imports if name.startswith("wasi:")}
            levels = sorted({".".join(version.split(".")[:2]) for version in found if version})
        else:
            levels = sorted({WASI_MODULES[i.module] for i in self.imports if i.module in WASI_MODULES})
        return "+".join(levels) or "none"

    @property
    def wasi_functions(self) -> list[str]:
        """The WASI functions that it imports."""
        return [i.name for i in self.imports if i.module in WASI_MODULES and i.kind == "func"]

    @property
    def nn_imports(self) -> list[Import]:
        """What it imports from wasi-nn."""
        return [i for i in self.imports if i.module in NN_MODULES]

    @property
    def nn_modules(self) -> list[str]:
        """The wasi-nn modules that it imports from; of a component the interfaces."""
        if self.kind == "component":
            return [name for name in self.component_imports if name.startswith("wasi:nn/")]
        return list(dict.fromkeys(i.module for i in self.nn_imports))

    def exported_function(self, name: str) -> FuncType | None:
        """The signature of an exported function; None if there is none of that name."""
        for export in self.exports:
            if export.name == name and export.kind == "func":
                return self.types[self.functions[export.index]]
        return None

    def use(self, feature: str, where: str, offset: int, count: int = 1) -> None:
        """Note that a feature is used."""
        known = self.features.get(feature)
        if known is None:
            self.features[feature] = FeatureUse(feature, where, offset, count)
        else:
            known.count += count
