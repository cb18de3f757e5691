"""What one side of wasi-nn speaks, as data: a guest's own habits, or a host's, both read from firmware profiles."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal

from lading_agent.nn.calls import CRASHES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lading.profiles.schema import Codes as ProfileCodes
    from lading.profiles.schema import FirmwareProfile

Layout = Literal["witx", "wamr-legacy"]
Unit = Literal["bytes", "words"]

ERAS: Final[Mapping[str, str]] = {
    "spec-new": "lading-litert",
    "spec-old": "wasmedge-0.14",
    "wamr-2.1": "wamr-2.3",
    "legacy": "wamr-2.4-legacy",
}
"""A profile whose guests number as an era does (see :mod:`lading.trace.numbering`)."""

_ENDS: Final = ("trap", *CRASHES)
_WORDS: Final = ("elements", "tensor-words")


@dataclass(frozen=True)
class Enum:
    """One enum of the interface."""

    numbers: Mapping[str, int]
    mask: int = 0xFFFFFFFF
    """The bits that a host looks at."""
    deadly: bool = False
    """A number that it does not know ends the run."""

    def unknown(self, most: int = 255) -> int:
        """A number that means nothing."""
        return next(n for n in range(most, -1, -1) if n not in self.numbers.values())


@dataclass(frozen=True)
class Abi:
    """Numbers, layout and habits of one side."""

    name: str
    module: str
    """The import module."""
    layout: Layout
    functions: frozenset[str]
    """What it links and answers."""
    refused: frozenset[str]
    """Those of them that fail whatever they are asked."""
    tensor_types: Enum
    encodings: Enum
    targets: Enum
    errno: Mapping[str, int]
    size_unit: Unit = "bytes"
    """What sizes of outputs count: bytes, or f32 numbers (four bytes)."""
    wants_byte_size: bool = False
    """The size word counts f32 numbers, and yet real data needs the number of bytes in it: measured of a host."""
    ignores_types: bool = False
    """It does not look at a tensor's type code: the data is f32."""
    bad_pointer: str = "trap"
    """What comes of a record that does not lie in memory: an errno's name, or ``trap``."""
    mismatch: str = "invalid_argument"
    """The errno of an input that is not what the model takes."""
    short: str = "too_large"
    """The errno of an output buffer that is too small."""
    tells_needed: bool = False
    """It writes the size that would do when a buffer is too small."""
    echoes_capacity: bool = False
    """It writes the guest's own size back when a call fails."""
    aliases: frozenset[str] = frozenset()
    """Further import modules under which a host offers the same."""


def abi_of(profile: FirmwareProfile) -> Abi:
    """What a firmware speaks.

    Raises:
        NotAdaptable: it hosts no core modules.
    """
    from lading.errors import NotAdaptable

    if profile.abi is None or profile.encodings is None or profile.targets is None or not profile.functions:
        raise NotAdaptable(
            f"{profile.id} hosts no core modules: no guest can be rewritten for it",
            remedy="choose a firmware profile with wasi-nn for core modules",
        )
    abi = profile.abi
    reads = profile.functions.get("set_input", [])
    output = profile.functions.get("get_output", [])
    sizes = [s.get("unit", "bytes") for s in output if s["step"] in {"capacity", "put-output"}]
    room = next((s for s in output if s["step"] == "capacity"), {})
    return Abi(
        name=profile.id,
        module=abi.modules[0],
        layout=abi.layout,
        functions=frozenset(f for f in profile.functions if f != "exit" and _refusal(profile, f) not in _ENDS),
        refused=frozenset(f for f in profile.functions if _refusal(profile, f)),
        tensor_types=Enum(abi.tensor_types, 0xFF, any(s["step"] == "known-type" and s["fail"] in _ENDS for s in reads)),
        encodings=_enum(abi.encodings, profile.encodings),
        targets=_enum(abi.targets, profile.targets),
        errno=abi.errno,
        size_unit="words" if any(unit in _WORDS for unit in sizes) else "bytes",
        wants_byte_size=any(s["step"] == "clear-when-short" for s in output),
        ignores_types=not any(s["step"] in {"type-code", "known-type"} for s in reads)
        and bool(profile.tensors.input)
        and all(rule.guest == "any" for rule in profile.tensors.input),
        bad_pointer=_fails(next((s for s in reads if s["step"] == "readable"), {}), "trap"),
        mismatch=_errno(profile, profile.tensors.otherwise, "invalid_argument"),
        short=_errno(profile, _fails(room, "too_large"), "too_large"),
        tells_needed=room.get("write") == "needed",
        echoes_capacity=any(s["step"] == "echo-capacity" for s in output),
        aliases=frozenset(abi.modules[1:]),
    )


def abi_of_era(era: str) -> Abi:
    """What guests of an era speak: ``spec-new``, ``spec-old``, ``wamr-2.1``, ``legacy``.

    Raises:
        KeyError: there is no such era.
    """
    from lading import profiles

    found = abi_of(profiles.shipped(ERAS[era]))
    return replace(
        found,
        name=era,
        tensor_types=Enum(found.tensor_types.numbers, 0xFF),
        encodings=Enum(found.encodings.numbers),
        targets=Enum(found.targets.numbers),
    )


def _enum(numbers: Mapping[str, int], table: ProfileCodes) -> Enum:
    return Enum(numbers, table.mask, table.unknown in _ENDS)


def _refusal(profile: FirmwareProfile, function: str) -> str:
    """What a function gives that always fails, or whose handles are never good for anything; empty for others."""
    steps = profile.functions[function]
    claims = [s for s in steps if s["step"] == "claim-graph"]
    if claims and not claims[-1].get("usable", True) and not any(s["step"] == "accept-graph" for s in steps):
        return "useless"
    return next((str(s["fail"]) for s in steps if s["step"] == "refuse"), "")


def _fails(step: Mapping[str, Any], otherwise: str) -> str:
    found = str(step.get("fail", otherwise))
    return "trap" if found in _ENDS else found


def _errno(profile: FirmwareProfile, name: str, otherwise: str) -> str:
    assert profile.abi is not None
    return name if name in profile.abi.errno else otherwise


Dtype = Literal["float32", "uint8", "int8"]
Direction = Literal["input", "output"]
WIDTH: Final[Mapping[str, int]] = {"float32": 4, "uint8": 1, "int8": 1}
TYPE_NAME: Final[Mapping[str, str]] = {"float32": "f32", "uint8": "u8", "int8": "u8"}
"""How wasi-nn calls the type; int8 passes as bytes."""


@dataclass(frozen=True)
class Conversion:
    """Data of one input or output that the guest has in one type and the host takes, or gives, in another.

    ``real = scale * (integer - zero_point)``. Of two integer types it is the guest's that they belong to; the host's
    zero point is 128 away, as between int8 and uint8.
    """

    direction: Direction
    index: int
    guest: Dtype
    host: Dtype
    scale: float
    zero_point: int
    """Of the side that has integers."""
    count: int
    """Elements of the tensor."""
    model: str = ""
    """Which of `Plan.known` it is for; empty: every model that the guest loads."""
    nudge: float = 0.0
    """Steps added to integers before they become f32: a quarter for a host that cuts off instead of rounding."""

    @property
    def scratch_bytes(self) -> int:
        """Bytes that the host's form takes."""
        return self.count * WIDTH[self.host]


@dataclass(frozen=True)
class Known:
    """How the guest's models are told apart, where their data is converted in different ways."""

    names: frozenset[str] = frozenset()
    """The names that it loads the model by."""
    size: int | None = None
    """The bytes that it hands over."""


@dataclass(frozen=True)
class Plan:
    """For whom a guest was made, and for whom it is to be."""

    guest: Abi
    host: Abi
    tensors: tuple[Conversion, ...] = ()
    """What happens to tensor data on its way."""
    known: Mapping[str, Known] = field(default_factory=dict)
    """Models for which conversions are meant, by what their conversions call them."""
    uncalled: frozenset[str] = frozenset()
    """Functions that the guest imports and, as far as is known, never calls: where the host lacks one, and nothing
    stands in for it, a call of it fails instead of keeping the guest from being rewritten."""
    models: Mapping[str, bytes] = field(default_factory=dict)
    """Models that become part of the guest, by the name that it loads them by: for a host that lacks ``load_by_name``,
    or whose handles from it are useless. Other hosts load by name, and nothing is embedded."""
    encodings: Mapping[str, str] = field(default_factory=dict)
    """Encodings by name that become others, such as ``autodetect`` for a host that does not."""
    targets: Mapping[str, str] = field(default_factory=dict)
    """The same for execution targets."""
