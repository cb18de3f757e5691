"""Every case, by the ABI that it is for."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

from lading.probe import features
from lading.probe.cases import LEGACY, WITX, Case, Item, Part, nothing, single
from lading.probe.models import model
from lading.probe.script import LAYOUT_OF, OUTSIDE, SIZE, Program, Ref, Script
from lading_agent.nn.decode import PARAMETERS

if TYPE_CHECKING:
    from collections.abc import Callable

TYPES: Final = ("f32", "f16", "f64", "u8", "i8", "i16", "i32", "i64", "bool", "qu8", "qi8")
"""Types of the echo models; ``qu8`` and ``qi8`` are quantized."""
WIDTH: Final = {"f32": 4, "f16": 2, "f64": 8, "u8": 1, "i8": 1, "i16": 2, "i32": 4, "i64": 8, "bool": 1}
WIDTH_OF: Final = {**WIDTH, "qu8": 1, "qi8": 1}
CODES: Final = tuple(range(9))
"""Tensor type codes that are tried."""
ENCODINGS: Final = (*range(10), 10, 260, 0xFFFFFFFF)
TARGETS: Final = (0, 1, 2, 3, 4, 0xFFFFFFFF)
SOME: Final = 4
"""How many loads one guest may try: no known host runs out of slots so early."""
MANY: Final = 70
"""How many graphs and contexts are asked for: more than any known host gives."""
NAME: Final = "lading-probe"
"""The name under which a host that can be told knows the echo model."""
FLOATS: Final = struct.pack("<4f", 1.0, 2.0, 3.0, 4.0)
AMPLE: Final = 64
"""Bytes of room for an output of 16."""
GARBAGE: Final = b"this is no model at all, whatever it is loaded as" * 2


def cases(module: str) -> list[Case]:
    """All cases for one import module."""
    made = [*_functions(module), *_load(module), *_names(module), *_init(module), *_order(module)]
    made += [*_types(module), *_shapes(module), *_inputs(module), *_outputs(module), *_limits(module)]
    if module == WITX:
        made += _extensions()
    return made


def presence() -> list[Case]:
    """Which import modules there are: asked before anything else."""
    return [
        single(
            f"module/{name}",
            f"{name} is linked and its load is called",
            lambda s: _ignore(s.load(model("echo_f32"), note="echo_f32")),
            group="module",
            module=name,
        )
        for name in (WITX, LEGACY)
    ]


def environment() -> list[Case]:
    """What is asked of the runtime, whatever its wasi-nn is: linking, WASI, wasm features, exit statuses."""
    made = [
        _plain("end/return", "a guest that returns", Program()),
        _plain("end/exit", "a guest that exits with status 7", Program(end="exit", status=7)),
        _plain("end/trap", "a guest that executes unreachable", Program(end="trap")),
        _plain("end/garbage", "a file that is no module", Program(raw=b"no module at all, whatever it is run as")),
        _plain("end/truncated", "a module cut off in its type section", Program(raw=b"\0asm\1\0\0\0\1\x05\1\x60")),
        _plain(
            "import/unknown",
            "a guest that imports, and never calls, a function that nobody has",
            Program(imports=(("lading_probe_nobody", "nothing", 1),)),
        ),
        _plain("wasi/wasi_snapshot_preview1", "WASI preview 1 under its name", Program()),
        _plain("wasi/wasi_unstable", "WASI under its older name", Program(wasi="wasi_unstable")),
    ]
    made += [
        _plain(f"wasm/{name}", f"a module that uses {name}", Program(feature=name)) for name in ("mvp", *features.NAMES)
    ]
    return made


def _plain(id_: str, about: str, program: Program) -> Case:
    return single(id_, about, nothing, group=id_.partition("/")[0], module=WITX, base=program)


def _ignore(*_handles: Ref) -> None:
    """A handle that nobody asks for."""


class _Session:
    """A prologue that loads an echo model and makes a context; items read the handles here."""

    def __init__(self, name: str = "echo_f32") -> None:
        self.name = name
        self.graph = Ref(0)
        self.context = Ref(0)

    def __call__(self, script: Script) -> None:
        self.graph = script.load(model(self.name), note=self.name)
        self.context = script.init(self.graph)


class _Filled(_Session):
    """The same, with an input set and computed."""

    def __call__(self, script: Script) -> None:
        super().__call__(script)
        script.set_input(self.context, 1, FLOATS)
        script.compute(self.context)


def _session_case(
    id_: str,
    about: str,
    items: Callable[[_Session], list[Item]],
    *,
    group: str,
    module: str,
    start: _Session | None = None,
    unsafe: bool = False,
    share: int = 1000,
) -> Case:
    begin = start or _Session()
    return Case(id_, about, begin, tuple(items(begin)), group, share, unsafe, module)


# -- functions --------------------------------------------------------------------------------------------------------


CHAIN: Final = ("load", "init_execution_context", "set_input", "compute", "get_output")
"""The functions that need those before them."""


def _functions(module: str) -> list[Case]:
    """Each function is linked and called in the right place, so that only one that is missing does not answer."""
    made = []
    for name in PARAMETERS[LAYOUT_OF[module]]:
        begin = _Filled()
        if name in CHAIN:
            prologue: Part = nothing
            part = _chain(name)
        else:
            prologue, part = begin, _one_call(name, begin)
        # WAMR calls a backend function that is not there.
        unsafe = name == "load_by_name_with_config"
        item = Item("-", f"{name} in its right place", part, unsafe)
        made.append(
            Case(f"function/{name}", f"{name} is linked and called", prologue, (item,), "function", module=module)
        )
    return made


def _chain(last: str) -> Part:
    """The functions up to ``last``, none beyond it."""

    def part(s: Script) -> None:
        graph = s.load(model("echo_f32"), note="echo_f32")
        context = s.init(graph) if last != "load" else graph
        if last in CHAIN[2:]:
            s.set_input(context, 1, FLOATS)
        if last in CHAIN[3:]:
            s.compute(context)
        if last == "get_output":
            s.get_output(context, AMPLE)

    return part


def _one_call(name: str, begin: _Session) -> Part:
    def part(s: Script) -> None:
        if name == "load_by_name":
            s.load_by_name(b"lading-nobody")
        elif name == "load_by_name_with_config":
            s.load_by_name(b"lading-nobody", config=b"{}")
        elif name == "get_output_single":
            s.get_output(begin.context, AMPLE, function=name)
        else:
            s.call(name, begin.graph if name == "unload" else begin.context)

    return part


# -- load -------------------------------------------------------------------------------------------------------------


def _load(module: str) -> list[Case]:
    echo = model("echo_f32")

    def item(
        id_: str, about: str, unsafe: bool = False, data: bytes = echo, note: str = "echo_f32", **how: Any
    ) -> Item:
        return Item(id_, about, lambda s: _ignore(s.load(data, note=note or about, **how)), unsafe)

    broken = [
        item("garbage", "bytes that are no model", data=GARBAGE, note=""),
        item("empty", "no bytes", data=b"", note=""),
        item("identifier-then-junk", "TFLite's identifier, then junk", True, b"\x1c\0\0\0TFL3" + b"\xff" * 64, ""),
        item("half", "half a model", True, echo[: len(echo) // 2], ""),
        item("builders-0", "no builder", builders=0),
        item("builders-2", "two builders", builders=2),
    ]
    pointers = [
        item("builders-outside", "the builders are outside memory", builders_at=OUTSIDE),
        item("model-outside", "the model is outside memory", model_at=OUTSIDE),
        item("model-past-the-end", "the model ends outside memory", model_length=SIZE),
        item("graph-outside", "the place for the handle is outside memory", graph_at=OUTSIDE),
    ]
    # WAMR 1.3 looks an encoding of 5 and more up past the end of a table.
    encodings = [item(str(n), f"encoding {n}", unsafe=module == LEGACY and n >= 5, encoding=n) for n in ENCODINGS]
    targets = [item(str(n), f"target {n}", target=n) for n in TARGETS]

    def then_init(data: bytes, note: str) -> Callable[[Script], None]:
        return lambda s: _ignore(s.init(s.load(data, note=note), if_ok=True))

    operators = [
        Item(name, about, then_init(model(name), name))
        for name, about in (
            ("fully_connected_v12", "an operator version that only current interpreters know"),
            ("identity", "a model without operators"),
        )
    ]
    no_memory = Case(
        "load/no-memory",
        "a guest that exports no memory",
        nothing,
        (Item("-", "load without an exported memory", lambda s: _ignore(s.load(echo))),),
        "load",
        unsafe=True,
        module=module,
        base=Program(memory=False),
    )
    return [
        Case("load/model", "what is loaded", nothing, tuple(broken), "load", share=SOME, module=module),
        Case("load/pointer", "pointers of load", nothing, tuple(pointers), "load", share=SOME, module=module),
        Case("load/encoding", "graph encodings", nothing, tuple(encodings), "load", share=SOME, module=module),
        Case("load/target", "execution targets", nothing, tuple(targets), "load", share=SOME, module=module),
        Case("load/operators", "operators", nothing, tuple(operators), "load", share=SOME, module=module),
        no_memory,
    ]


def _names(module: str) -> list[Case]:
    def item(id_: str, about: str, name: bytes, unsafe: bool = False, **how: Any) -> Item:
        return Item(id_, about, lambda s: _ignore(s.load_by_name(name, **how)), unsafe)

    unknown = [
        item("unknown", "a name that nobody knows", b"lading-nobody"),
        item("unknown-nul", "the same with a NUL at its end", b"lading-nobody\0"),
        item("empty", "no name", b""),
        item("outside", "a name outside memory", b"x", at=OUTSIDE, length=4),
        item("graph-outside", "the place for the handle is outside memory", b"lading-nobody", graph_at=OUTSIDE),
        item("past-the-end", "a name that ends outside memory", b"x", True, length=SIZE),
    ]

    def known(s: Script) -> None:
        graph = s.load_by_name(NAME.encode())
        context = s.init(graph, if_ok=True)
        s.set_input(context, 1, FLOATS)
        s.compute(context, if_ok=True)
        s.get_output(context, 16, if_ok=True)

    named = Item("known", f"the name {NAME}, which the host was told", known, True)
    return [
        Case("name/unknown", "names nobody knows", nothing, tuple(unknown), "name", share=SOME, module=module),
        Case("name/known", "a name the host was told", nothing, (named,), "name", module=module, names=True),
    ]


# -- contexts, order --------------------------------------------------------------------------------------------------


def _init(module: str) -> list[Case]:
    begin = _Session()

    def loaded(script: Script) -> None:
        begin.graph = script.load(model("echo_f32"), note="echo_f32")

    items = [
        Item("bad-graph", "a graph that was never given", lambda s: _ignore(s.init(99))),
        Item("bad-graph-huge", "graph 0xffffffff", lambda s: _ignore(s.init(0xFFFFFFFF)), True),
        Item(
            "context-outside",
            "the place for the handle is outside memory",
            lambda s: _ignore(s.init(begin.graph, context_at=OUTSIDE)),
        ),
    ]
    return [Case("init", "init_execution_context", loaded, tuple(items), "init", module=module)]


def _order(module: str) -> list[Case]:
    before = [
        Item("init", "a context before any load", lambda s: _ignore(s.init(0))),
        Item("set_input", "an input before any load", lambda s: s.set_input(0, 1, FLOATS)),
        Item("compute", "compute before any load", lambda s: s.compute(0)),
        Item("get_output", "an output before any load", lambda s: s.get_output(0, 16)),
    ]
    if module == WITX:
        before.append(Item("after-failed-load", "a context after a failed load", _after_failed_load))
    first = _session_case(
        "order/compute-first",
        "compute before set_input",
        lambda b: [Item("-", "compute before set_input", lambda s: s.compute(b.context))],
        group="order",
        module=module,
    )
    output = _session_case(
        "order/output-first",
        "get_output before compute",
        lambda b: [Item("-", "get_output before compute", lambda s: s.get_output(b.context, 16))],
        group="order",
        module=module,
        unsafe=True,
    )
    nothing_loaded = Case("order/before-load", "calls before load", nothing, tuple(before), "order", 1, True, module)
    return [nothing_loaded, first, output]


def _after_failed_load(script: Script) -> None:
    script.load(GARBAGE, note="no model")
    script.init(0)


# -- tensors ----------------------------------------------------------------------------------------------------------


def sample(name: str, code: int) -> bytes:
    """Four elements of a type, other ones for each code."""
    values = [code + 1, code + 2, code + 3, code + 4]
    formats = {"f32": "<4f", "f64": "<4d", "i16": "<4h", "i32": "<4i", "i64": "<4q", "f16": "<4e", "i8": "<4b"}
    if name == "bool":
        return bytes([code & 1, 1, 0, code >> 1 & 1])
    if name in ("u8", "qu8"):
        return bytes(values)
    return struct.pack(formats["i8" if name == "qi8" else name], *values)


def _types(module: str) -> list[Case]:
    made = []
    for name in TYPES:
        begin = _Session(f"echo_{name}")
        items = []
        for code in CODES:
            for form in ("own", "f32") if WIDTH_OF[name] != 4 else ("own",):
                data = sample(name, code) if form == "own" else struct.pack("<4f", *(code + n for n in range(1, 5)))

                def echo(s: Script, begin: _Session = begin, code: int = code, data: bytes = data) -> None:
                    s.set_input(begin.context, code, data)
                    s.compute(begin.context, if_ok=True)
                    s.get_output(begin.context, AMPLE, if_ok=True)

                about = f"{name} tensor, type code {code}, data as {'its own type' if form == 'own' else 'f32'}"
                items.append(Item(f"{code}-{form}", about, echo))
        unsafe = name in ("qi8", "i8") or module == LEGACY
        made.append(Case(f"type/{name}", f"inputs of type {name}", begin, tuple(items), "type", 1000, unsafe, module))
    return made


def _shapes(module: str) -> list[Case]:
    def items(begin: _Session) -> list[Item]:
        def item(id_: str, about: str, dims: tuple[int, ...], data: bytes = FLOATS, **how: Any) -> Item:
            return Item(id_, about, lambda s: s.set_input(begin.context, 1, data, dims=dims, **how))

        made = [
            item("same", "the model's own shape", (1, 4)),
            item("other-shape", "the same count in another shape", (2, 2)),
            item("other-rank", "the same count in another rank", (1, 4, 1)),
            item("flat", "the same count in one dimension", (4,)),
            item("fewer", "fewer elements", (1, 3), FLOATS[:12]),
            item("more", "more elements", (1, 5), FLOATS + FLOATS[:4]),
            item("scalar", "no dimensions", (), FLOATS[:4]),
            item("zero", "a dimension of 0", (1, 0), b"\0\0\0\0", length=0),
        ]
        if module == WITX:
            made += [
                item("data-short", "data shorter than the tensor", (1, 4), length=12),
                item("data-long", "data longer than the tensor", (1, 4), FLOATS + FLOATS, length=20),
                item("data-none", "no data", (1, 4), length=0),
            ]
        return made

    return [_session_case("shape", "shapes and lengths of inputs", items, group="input", module=module)]


def _inputs(module: str) -> list[Case]:
    def indices(begin: _Session) -> list[Item]:
        return [
            Item("index-1", "an input that the model lacks", lambda s: s.set_input(begin.context, 1, FLOATS, index=1)),
            Item("bad-context", "a context that was never given", lambda s: s.set_input(99, 1, FLOATS)),
            Item("compute-bad-context", "compute on a context that was never given", lambda s: s.compute(99)),
            Item("output-bad-context", "an output of a context that was never given", lambda s: s.get_output(99, 16)),
            Item(
                "index-huge",
                "input 0xffffffff",
                lambda s: s.set_input(begin.context, 1, FLOATS, index=0xFFFFFFFF),
                True,
            ),
        ]

    def pointers(begin: _Session) -> list[Item]:
        def item(id_: str, about: str, **how: Any) -> Item:
            return Item(id_, about, lambda s: s.set_input(begin.context, 1, FLOATS, note=about, **how))

        return [
            item("tensor-outside", "the tensor record is outside memory", tensor_at=OUTSIDE),
            item("dims-outside", "the dimensions are outside memory", dims_at=OUTSIDE),
            item("data-outside", "the data is outside memory", data_at=OUTSIDE),
            item("data-past-the-end", "the data ends outside memory", data_at=SIZE - 8),
        ]

    return [
        _session_case("handle", "handles and indices", indices, group="input", module=module),
        _session_case("input-pointer", "pointers of set_input", pointers, group="input", module=module),
    ]


def _outputs(module: str) -> list[Case]:
    exact = 4 if module == LEGACY else 16

    def items(begin: _Session) -> list[Item]:
        def item(id_: str, about: str, capacity: int, unsafe: bool = False, **how: Any) -> Item:
            return Item(id_, about, lambda s: s.get_output(begin.context, capacity, **how), unsafe)

        return [
            item("exact", "a buffer as large as the output", exact),
            item("larger", "a larger buffer", AMPLE),
            item("small", "a buffer half as large", exact // 2),
            item("none", "no buffer", 0),
            item("index-1", "an output that the model lacks", AMPLE, index=1),
            item("index-huge", "output 0xffffffff", AMPLE, True, index=0xFFFFFFFF),
            item("output-outside", "the buffer is outside memory", AMPLE, output_at=OUTSIDE),
            item("output-past-the-end", "the buffer ends outside memory", AMPLE, output_at=SIZE - 8),
            item("size-outside", "the place for the size is outside memory", AMPLE, size_at=OUTSIDE),
        ]

    return [_session_case("output", "get_output", items, group="output", module=module, start=_Filled())]


# -- limits, extensions -----------------------------------------------------------------------------------------------


def _limits(module: str) -> list[Case]:
    def graphs(s: Script) -> None:
        for _ in range(MANY):
            s.load(model("echo_f32"), note="echo_f32")

    def contexts(s: Script) -> None:
        graph = s.load(model("echo_f32"), note="echo_f32")
        for _ in range(MANY):
            s.init(graph)

    def failures(s: Script) -> None:
        for _ in range(12):
            s.load(GARBAGE, note="no model")
        s.init(s.load(model("echo_f32"), note="echo_f32"))

    return [
        single(f"limit/{what}", about, part, group="limit", module=module, unsafe=True)
        for what, about, part in (
            ("graphs", f"{MANY} graphs", graphs),
            ("contexts", f"{MANY} contexts of one graph", contexts),
            ("failures", "12 failed loads, then a good one", failures),
        )
    ]


def _extensions() -> list[Case]:
    """What the functions beyond the specification's six do."""

    def case(name: str, about: str, *parts: tuple[str, str, Callable[[Script, _Session], None]]) -> Case:
        begin = _Filled()

        def bound(part: Callable[[Script, _Session], None]) -> Callable[[Script], None]:
            return lambda s: part(s, begin)

        items = tuple(Item(id_, text, bound(part)) for id_, text, part in parts)
        return Case(f"extension/{name}", about, begin, items, "extension", share=1, unsafe=True, module=WITX)

    def unload_then_init(s: Script, b: _Session) -> None:
        s.call("unload", b.graph)
        s.init(b.graph)

    def unload_then_compute(s: Script, b: _Session) -> None:
        s.call("unload", b.graph)
        s.compute(b.context)

    def finalize_then_compute(s: Script, b: _Session) -> None:
        s.call("finalize_execution_context", b.context)
        s.compute(b.context)

    return [
        case(
            "unload",
            "unload",
            ("bad-graph", "a graph that was never given", lambda s, _: s.call("unload", 99)),
            ("then-init", "a context of an unloaded graph", unload_then_init),
            ("then-compute", "compute of an unloaded graph", unload_then_compute),
        ),
        case(
            "finalize",
            "finalize_execution_context",
            ("bad-context", "a context never given", lambda s, _: s.call("finalize_execution_context", 99)),
            ("then-compute", "compute in a finalized context", finalize_then_compute),
        ),
        case(
            "single",
            "compute_single, get_output_single, fini_single",
            (
                "compute",
                "a step of a model without state",
                lambda s, b: s.compute(b.context, function="compute_single"),
            ),
            ("bad-context", "a step in no context", lambda s, _: s.compute(99, function="compute_single")),
            (
                "output",
                "an output before a step",
                lambda s, b: s.get_output(b.context, AMPLE, function="get_output_single"),
            ),
            ("fini", "the end of a stream that never began", lambda s, b: s.call("fini_single", b.context)),
        ),
    ]
