"""The bill of lading: what is on board of a bundle, by digest, and how it is to be run.

A bill is one canonical JSON document (see :mod:`lading_agent.strictjson`). Client and agent read the same bytes; a
device keeps them as they came. Nothing in a bill is trusted before :meth:`Bill.parse` has looked at it: names and paths
become file names on the device, sizes become reservations, digests decide what runs.

Schema rule: a higher ``schema`` is refused by name, keys that start with ``x-`` are ignored, others that are not known
are refused.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Dict, Final, Iterable, Mapping, Optional, Tuple

from lading_agent.strictjson import StrictJsonError, dumps

SCHEMA: Final = 1
MAX_BILL_BYTES: Final = 4 * 1024 * 1024
MAX_BLOB_BYTES: Final = 8 * 1024**3 - 1
"""What the size field of a plain tar header holds."""

RUNTIMES: Final = ("lading", "wasmedge", "iwasm", "wasmtime")
ENGINES: Final = ("wasmtime", "litert")
"""What the native runner loads; a bill may ask for a version of each."""
INT8_POLICIES: Final = ("as-u8", "quantize-f32")
DTYPE_BYTES: Final[Mapping[str, int]] = {
    "bool": 1,
    "int8": 1,
    "uint8": 1,
    "int16": 2,
    "uint16": 2,
    "float16": 2,
    "int32": 4,
    "uint32": 4,
    "float32": 4,
    "int64": 8,
    "uint64": 8,
    "float64": 8,
}
"""Tensor element types by numpy's names, with the octets of one element."""

DEFAULT_VARIANT: Final = "default"


class BillError(StrictJsonError):
    """A bill that is damaged, hostile or newer than this reader. ``key`` is the path of the culprit."""


@dataclass(frozen=True)
class Blob:
    """Content by digest."""

    digest: str
    """``sha256:`` and 64 lower-case hexadecimal digits."""
    size: int


@dataclass(frozen=True)
class App:
    """What is run, and how."""

    name: str
    version: str
    args: Tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    env_from_device: Tuple[str, ...] = ()
    """Environment variables whose values only the device knows."""
    runtime: str = "lading"
    threads: int = 1
    """Interpreter threads; 0 means all cores."""
    timeout_s: Optional[float] = None
    """Seconds; None means the default of whoever runs it."""
    memory_bytes: Optional[int] = None
    """None means what the target allows."""


@dataclass(frozen=True)
class File:
    """One file of a directory that ships with the app."""

    path: str
    """Relative, with ``/``; never ``.``, ``..`` or an empty part."""
    digest: str
    size: int
    executable: bool = False


@dataclass(frozen=True)
class Directory:
    """A read-only directory that ships with the app."""

    guest: str
    files: Tuple[File, ...] = ()


@dataclass(frozen=True)
class StateDirectory:
    """A writable directory that survives releases."""

    guest: str


@dataclass(frozen=True)
class Model:
    """A model as the guest knows it. Its bytes are chosen by the variant."""

    name: str
    version: str = ""
    encoding: str = "tensorflowlite"
    target: str = "cpu"
    int8: str = "as-u8"
    """``as-u8``: the guest hands over int8 bytes as u8. ``quantize-f32``: f32, and the host quantizes."""
    state: Mapping[str, str] = field(default_factory=dict)
    """Output tensor name to the input tensor name that it feeds on the next ``compute_single``."""

    @property
    def reference(self) -> str:
        """``name@version``, or the bare name without a version."""
        return f"{self.name}@{self.version}" if self.version else self.name


@dataclass(frozen=True)
class VariantModel:
    """The bytes of a model in one variant."""

    name: str
    version: str
    digest: str
    size: int


@dataclass(frozen=True)
class Variant:
    """One way to run the app; a device gets exactly one."""

    id: str
    module: Blob
    models: Tuple[VariantModel, ...] = ()
    needs: Mapping[str, Any] = field(default_factory=dict)
    provides: Mapping[str, Any] = field(default_factory=dict)
    conversion: Tuple[Any, ...] = ()
    """What was done to guest and models, in order. Empty: they are as the developer gave them."""


@dataclass(frozen=True)
class Tensor:
    """A tensor's content: raw little-endian bytes in C order."""

    tensor: str
    dtype: str
    shape: Tuple[int, ...]
    digest: str
    size: int


@dataclass(frozen=True)
class Golden:
    """A golden vector: inputs of a bare model, the outputs expected, and how far they may be apart."""

    model: str
    """A model of the bill: its name, or ``name@version`` where the name alone is not unique."""
    inputs: Tuple[Tensor, ...]
    outputs: Tuple[Tensor, ...]
    tolerance: int = 1
    """Quantization steps, for integer outputs."""
    atol: float = 1e-5
    rtol: float = 1e-4
    variants: Tuple[str, ...] = ()
    """The variants that it is for; empty means all."""


@dataclass(frozen=True)
class Smoke:
    """A run of the guest on the device, and what must come of it."""

    args: Tuple[str, ...] = ()
    exit: int = 0
    stdout: Optional[str] = None
    """A regular expression that is searched in the output."""


@dataclass(frozen=True)
class Sizes:
    """Octets of the distinct blobs, by what they are for; ``total`` counts a blob of two uses once."""

    total: int = 0
    modules: int = 0
    models: int = 0
    files: int = 0
    golden: int = 0


@dataclass(frozen=True)
class Bill:
    """A bill of lading. Make one with :meth:`seal`, read one with :meth:`parse`."""

    app: App
    variants: Tuple[Variant, ...]
    dirs: Tuple[Directory, ...] = ()
    state: Tuple[StateDirectory, ...] = ()
    models: Tuple[Model, ...] = ()
    golden: Tuple[Golden, ...] = ()
    smoke: Tuple[Smoke, ...] = ()
    engines: Mapping[str, str] = field(default_factory=dict)
    """Versions of :data:`ENGINES` to run with; where one is not named, whatever the device has."""
    sizes: Sizes = field(default_factory=Sizes)
    serial: str = ""
    """16 hexadecimal digits, from the content of everything else but the signatures."""
    signatures: Tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def parse(cls, data: bytes) -> Bill:
        """Read the canonical bytes of a bill.

        Raises:
            BillError: the bytes are not a bill that this reader can trust.
        """
        from lading_agent.bill_reader import read_bill

        return read_bill(data)

    def seal(self) -> Bill:
        """This bill with sizes and serial filled in, checked as a reader would check it.

        Raises:
            BillError: something in it would be refused.
        """
        sized = replace(self, sizes=self.counted_sizes())
        sealed = replace(sized, serial=serial_of(sized.to_json()))
        self.parse(sealed.encode())
        return sealed

    def to_json(self) -> Dict[str, Any]:
        """The JSON-ready document."""
        document = {"schema": SCHEMA, **asdict(self)}
        if not self.engines:
            del document["engines"]  # bills that ask for none are what they were before there were any
        return document

    def encode(self) -> bytes:
        """The canonical bytes."""
        return dumps(self.to_json())

    @property
    def release(self) -> str:
        """The id of this bill's release on a device: version and serial."""
        return f"{self.app.version}-{self.serial}"

    def variant(self, variant_id: str = DEFAULT_VARIANT) -> Variant:
        """The variant of that id.

        Raises:
            BillError: there is none.
        """
        for variant in self.variants:
            if variant.id == variant_id:
                return variant
        known = ", ".join(v.id for v in self.variants)
        raise BillError(f"has no variant '{variant_id}'", key="variants", remedy=f"it has: {known}")

    def find_model(self, reference: str) -> Model:
        """The model of that name, or ``name@version``.

        Raises:
            BillError: there is none, or there are several versions.
        """
        exact = [m for m in self.models if m.reference == reference]
        found = exact or [m for m in self.models if m.name == reference]
        if len(found) == 1:
            return found[0]
        known = ", ".join(m.reference for m in self.models) or "none"
        why = "names several models" if found else "is not a model of this bill"
        raise BillError(f"'{reference}' {why}", key="models", remedy=f"models: {known}")

    def golden_for(self, variant_id: str = DEFAULT_VARIANT) -> Tuple[Golden, ...]:
        """The golden vectors of one variant."""
        return tuple(g for g in self.golden if not g.variants or variant_id in g.variants)

    def blobs(self, variant_id: str = DEFAULT_VARIANT) -> Dict[str, int]:
        """Digest and size of everything that a device needs for one variant."""
        variant = self.variant(variant_id)
        needed = {variant.module.digest: variant.module.size}
        needed.update(_by_digest(variant.models))
        for directory in self.dirs:
            needed.update(_by_digest(directory.files))
        for golden in self.golden_for(variant_id):
            needed.update(_by_digest(golden.inputs + golden.outputs))
        return needed

    def all_blobs(self) -> Dict[str, int]:
        """Digest and size of everything in the bundle that the bill binds, in the bill's order."""
        found: Dict[str, int] = {}
        for group in self._groups().values():
            found.update(group)
        return found

    def counted_sizes(self) -> Sizes:
        """The sizes as they follow from the entries."""
        groups = {name: sum(group.values()) for name, group in self._groups().items()}
        return Sizes(total=sum(self.all_blobs().values()), **groups)

    def _groups(self) -> Dict[str, Dict[str, int]]:
        return {
            "modules": _by_digest(v.module for v in self.variants),
            "models": _by_digest(m for v in self.variants for m in v.models),
            "files": _by_digest(f for d in self.dirs for f in d.files),
            "golden": _by_digest(t for g in self.golden for t in g.inputs + g.outputs),
        }


def _by_digest(items: Iterable[Any]) -> Dict[str, int]:
    return {item.digest: item.size for item in items}


def serial_of(document: Mapping[str, Any]) -> str:
    """The serial number that belongs to a bill's document."""
    bound = {name: value for name, value in document.items() if name not in ("serial", "signatures")}
    return hashlib.sha256(dumps(bound)).hexdigest()[:16]
