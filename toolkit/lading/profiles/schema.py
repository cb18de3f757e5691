"""What stands in a firmware profile. Field names are written ``like-this`` in the files."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from lading.datafiles import Table
from lading.units import Size

U32 = Annotated[int, msgspec.Meta(ge=0, le=0xFFFFFFFF)]
Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,62}$")]
KnownBy = Literal["measured", "declared", "inferred"]


class Provenance(Table, frozen=True):
    """Where a profile's facts come from."""

    known_by: KnownBy
    source: str
    """What was read or measured."""
    recorded_on: str = ""
    """The build that was measured, where one was."""


class Runtime(Table, frozen=True):
    """The runtime on the firmware."""

    name: str
    release: str
    tflite: str = ""
    """Version of the TFLite that it carries."""
    backends: dict[str, str] = msgspec.field(default_factory=dict)
    """Further backends by encoding, with their versions."""


class Statuses(Table, frozen=True):
    """Exit status of the real process by the way a run ends."""

    trap: Annotated[int, msgspec.Meta(ge=0, le=255)] = 134
    invalid_module: Annotated[int, msgspec.Meta(ge=0, le=255)] = 126
    not_loadable: Annotated[int, msgspec.Meta(ge=0, le=255)] = 126
    link_error: Annotated[int, msgspec.Meta(ge=0, le=255)] = 126
    abort: Annotated[int, msgspec.Meta(ge=0, le=255)] = 134
    segv: Annotated[int, msgspec.Meta(ge=0, le=255)] = 139


class Link(Table, frozen=True):
    """How modules are linked."""

    unknown_import: Literal["refuse", "trap"] = "refuse"
    """``refuse``: the module does not start; ``trap``: it starts and ends when it calls the import."""
    without_backend: Literal["calls-fail", "unlinked"] = "calls-fail"
    """What a firmware without its TFLite backend offers: functions that fail, or none."""
    wasi: list[str] = msgspec.field(default_factory=lambda: ["wasi_snapshot_preview1"])
    """Import modules that offer WASI preview 1."""


class Host(Table, frozen=True):
    """Which of lading's hosts replays the profile."""

    native: bool = False
    """Whether the native runner may, where it is to be had and knows every step; otherwise the Python host does."""


class Limits(Table, frozen=True):
    """The firmware's own limits; absent: none of its own."""

    graphs: U32 | None = None
    contexts: U32 | None = None
    model_bytes: Size | None = None
    memory_bytes: Size | None = None
    arena_bytes: Size | None = None


class Mcu(Table, frozen=True):
    """How a microcontroller that speaks SMP is used; see docs/firmware.md."""

    root: Annotated[str, msgspec.Meta(pattern=r"^/[A-Za-z0-9._/-]{0,48}$")] = "/lfs1"
    """The folder for releases. It has to be there: SMP makes none."""
    storage_bytes: Size | None = None
    """What files in it may take together; absent: not known, found out by filling it."""
    block_bytes: Size = msgspec.field(default_factory=lambda: Size(4096))
    """What a file takes at least: the erase block of a small flash file system. Smaller pieces share a file."""
    inline_bytes: Size = msgspec.field(default_factory=lambda: Size(64))
    """A file of no more takes nothing: it lies in the folder itself."""
    sync_bytes: Size = msgspec.field(default_factory=lambda: Size(16384))
    """Octets after which what is being written is made to last."""
    slots: Annotated[int, msgspec.Meta(ge=2, le=255)] = 32
    """Files at most."""
    run: list[str] = msgspec.field(default_factory=list)
    """The shell command that runs a release, word by word; ``{app}``, ``{release}``, ``{slot}``, ``{file}`` and
    ``{args}`` stand for its own."""
    output: list[str] = msgspec.field(default_factory=list)
    """The command that gives what was written since the last time; it returns ``again`` until the run has ended, then
    the run's exit status. Without it ``run`` itself waits for the end."""
    stop: list[str] = msgspec.field(default_factory=list)
    """The command that ends a run."""
    again: int = -11
    """What ``output`` returns while the run goes on (EAGAIN)."""


class Abi(Table, frozen=True):
    """Numbers and layout of the wasi-nn interface."""

    modules: Annotated[list[str], msgspec.Meta(min_length=1)]
    """Import modules under which the functions are offered."""
    layout: Literal["witx", "wamr-legacy"]
    tensor_types: dict[Name, U32]
    encodings: dict[Name, U32]
    targets: dict[Name, U32]
    errno: dict[Name, U32]


class Codes(Table, frozen=True):
    """Which numbers of an enum are accepted, and what the others give."""

    accept: list[str]
    unsupported: str
    """Outcome for a number that has a name but is not accepted."""
    unknown: str
    """Outcome for a number without a name."""
    mask: U32 = 0xFFFFFFFF
    """The bits that the host looks at."""
    codes: dict[str, str] = msgspec.field(default_factory=dict)
    """Outcomes for single numbers."""


class TensorRule(Table, frozen=True):
    """How one kind of model tensor passes."""

    how: str
    """A transfer (see :data:`lading_agent.nn.rules.TRANSFERS`) or an outcome."""
    tensor: str = "any"
    """The model's type, by numpy's name."""
    quantized: bool | None = None
    """An 8- or 16-bit integer tensor with one scale."""
    scaled: bool | None = None
    """A tensor with a scale, whatever its type."""
    held: bool | None = None
    """Whether the interpreter has memory for it: none before compute in a model whose shapes depend on data."""
    guest: str = "any"
    """The guest's tensor type."""
    int8: Literal["as-u8", "quantize-f32"] | None = None
    """Only under that policy of the bill."""


class Tensors(Table, frozen=True):
    """How tensor bytes pass between guest and interpreter; the first rule that fits counts."""

    input: list[TensorRule] = msgspec.field(default_factory=list)
    output: list[TensorRule] = msgspec.field(default_factory=list)
    otherwise: str = "invalid_argument"
    """Outcome of an input that no rule fits."""


class Wasm(Table, frozen=True):
    """The wasm engine."""

    features: dict[str, bool] = msgspec.field(default_factory=dict)
    """Proposals that it takes or does not take."""
    components: bool = False
    notes: str = ""


class Command(Table, frozen=True):
    """How a device's own program of that runtime runs a guest, and which releases of it the profile stands for.

    Places in words: ``{module}``; ``{directories}``, ``{variables}``, ``{models}`` and ``{arguments}``, each a word of
    its own that becomes as many as there are.
    """

    runtime: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
    """What ``lading.toml`` and ``--runtime`` call it."""
    program: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    """The program's name on the device's search path."""
    words: list[str]
    """The command line after the program."""
    directory: list[str]
    """Words that open a directory: ``{guest}``, ``{host}``."""
    variable: list[str]
    """Words that set a variable of the guest: ``{name}``, ``{value}``."""
    since: str = ""
    """The first release that the profile stands for, as in ``2.4``; without it, it stands for none by its number."""
    before: str = ""
    """The first release after those."""
    places: list[str] = msgspec.field(default_factory=list)
    """Further folders where installers put the program; ``~`` is the user's home."""
    read_only_directory: list[str] = msgspec.field(default_factory=list)
    """As ``directory``, for directories that the guest must not write to; absent: the runtime has none such."""
    hidden_variable: list[str] = msgspec.field(default_factory=list)
    """Words that hand over a variable of the program's own environment, for secrets: ``{name}``."""
    model: list[str] = msgspec.field(default_factory=list)
    """Words that tell of a named model: ``{name}``, ``{encoding}``, ``{target}``, ``{path}``, and ``{folder}``, where
    its ``link`` is."""
    encodings: dict[str, str] = msgspec.field(default_factory=dict)
    """Encodings of named models, and what the runtime calls them; it is told of no others."""
    targets: dict[str, str] = msgspec.field(default_factory=dict)
    """What the runtime calls a model's target, where that is something else."""
    link: str = ""
    """A name that each named model gets in the folder in which the program starts: ``{name}``, ``{encoding}``."""
    memory: list[str] = msgspec.field(default_factory=list)
    """Words that limit the guest's memory: ``{bytes}``, or ``{pages}`` of 64 KiB; where the run has a limit."""
    memory_limit: bool = True
    """Whether it bears that the system limits its private data as well."""
    memory_own: Size | None = None
    """Private data that it uses for itself."""
    ahead_of_time: Annotated[str, msgspec.Meta(pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,62})?$")] = ""
    """The program that compiles guests ahead for it, where it loads such code: it has to be of the very release."""


class KnownCrash(Table, frozen=True):
    """Something that kills the host process."""

    situation: str
    outcome: Literal["abort", "segv", "trap"]
    source: str = ""


Program = list[dict[str, Any]]


class OperatorTable(Table, frozen=True):
    """The operators of one TFLite release. Its id is the stem of its file."""

    schema: int
    title: str
    provenance: Provenance
    versions: dict[Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,5}$")], U32]
    """TFLite's builtin code to the newest version that it knows; what is not listed is not known."""


class FirmwareProfile(Table, frozen=True):
    """One firmware profile. Its id is the stem of its file."""

    schema: int
    title: str
    provenance: Provenance
    runtime: Runtime
    summary: str = ""
    extends: str = ""
    """Id of the profile that this one changes: tables are merged, everything else replaces."""
    backend: Literal["litert", "tflite-runtime", "none"] = "litert"
    """The interpreter that stands in for the firmware's when it is emulated."""
    wasi_level: Literal["preview1", "preview2", "none"] = "preview1"
    wasi_nn: str = "witx"
    """The form of wasi-nn: ``witx``, ``wit-…``, or what the firmware calls its own."""
    statuses: Statuses = msgspec.field(default_factory=Statuses)
    link: Link = msgspec.field(default_factory=Link)
    host: Host = msgspec.field(default_factory=Host)
    limits: Limits = msgspec.field(default_factory=Limits)
    mcu: Mcu | None = None
    """Of a microcontroller: where releases go and which shell commands run them."""
    wasm: Wasm = msgspec.field(default_factory=Wasm)
    abi: Abi | None = None
    """Absent for a firmware that hosts no core modules."""
    encodings: Codes | None = None
    targets: Codes | None = None
    tensors: Tensors = msgspec.field(default_factory=Tensors)
    operator_table: str = ""
    """A file in ``firmware_profiles/operators`` whose versions count where ``operators`` says nothing."""
    operators: dict[str, U32] = msgspec.field(default_factory=dict)
    """TFLite's builtin code to the newest version that the firmware's interpreter knows; when there are any, those that
    are not listed are not known."""
    operator_list: list[str] = msgspec.field(default_factory=list)
    """Names of the only operators that the firmware has; empty: all of them."""
    functions: dict[str, Program] = msgspec.field(default_factory=dict)
    """Per function, the steps of the host in order; ``exit`` is what happens when the guest ends."""
    command: Command | None = None
    """How a program of that runtime on a device is started; absent: none can be."""
    crashes: list[KnownCrash] = msgspec.field(default_factory=list)
    vendor: dict[str, str | int | float | bool] = msgspec.field(default_factory=dict)
    """Free pairs."""
    id: str = ""
    """The file's stem; not written in the file."""

    @property
    def runs_guests(self) -> bool:
        """Whether core modules can be run (and emulated) on it."""
        return bool(self.functions)

    def resolved(self) -> dict[str, Any]:
        """The profile as JSON, everything that an agent or a runner needs; keys are the field names here."""
        document = _plain(self)
        assert isinstance(document, dict)
        return document


def _plain(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return {k: _plain(v) for k, v in msgspec.structs.asdict(value).items() if v is not None}
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return int(value) if type(value) is Size else value
