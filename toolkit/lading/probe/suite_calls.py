"""Cases of functions: whether they are there, loading, names, contexts, and the order of calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lading.probe.cases import LEGACY, WITX, Case, Item, Part, nothing
from lading.probe.models import model
from lading.probe.prologues import (
    AMPLE,
    ENCODINGS,
    FLOATS,
    GARBAGE,
    NAME,
    SOME,
    TARGETS,
    Filled,
    Loaded,
    ignore,
    session_case,
)
from lading.probe.script import LAYOUT_OF, OUTSIDE, SIZE, Program, Script
from lading_agent.nn.decode import PARAMETERS

if TYPE_CHECKING:
    from collections.abc import Callable


def cases(module: str) -> list[Case]:
    """All cases of functions for one import module."""
    return [*_functions(module), *_load(module), *_names(module), *_init(module), *_order(module)]


# -- functions --------------------------------------------------------------------------------------------------------


CHAIN: Final = ("load", "init_execution_context", "set_input", "compute", "get_output")
"""The functions that need those before them."""


def _functions(module: str) -> list[Case]:
    """Each function is linked and called in the right place, so that only one that is missing does not answer."""
    made = []
    for name in PARAMETERS[LAYOUT_OF[module]]:
        begin = Filled()
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


def _one_call(name: str, begin: Loaded) -> Part:
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
        return Item(id_, about, lambda s: ignore(s.load(data, note=note or about, **how)), unsafe)

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
        return lambda s: ignore(s.init(s.load(data, note=note), if_ok=True))

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
        (Item("-", "load without an exported memory", lambda s: ignore(s.load(echo))),),
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
        return Item(id_, about, lambda s: ignore(s.load_by_name(name, **how)), unsafe)

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
    begin = Loaded()

    def loaded(script: Script) -> None:
        begin.graph = script.load(model("echo_f32"), note="echo_f32")

    items = [
        Item("bad-graph", "a graph that was never given", lambda s: ignore(s.init(99))),
        Item("bad-graph-huge", "graph 0xffffffff", lambda s: ignore(s.init(0xFFFFFFFF)), True),
        Item(
            "context-outside",
            "the place for the handle is outside memory",
            lambda s: ignore(s.init(begin.graph, context_at=OUTSIDE)),
        ),
    ]
    return [Case("init", "init_execution_context", loaded, tuple(items), "init", module=module)]


def _order(module: str) -> list[Case]:
    before = [
        Item("init", "a context before any load", lambda s: ignore(s.init(0))),
        Item("set_input", "an input before any load", lambda s: s.set_input(0, 1, FLOATS)),
        Item("compute", "compute before any load", lambda s: s.compute(0)),
        Item("get_output", "an output before any load", lambda s: s.get_output(0, 16)),
    ]
    if module == WITX:
        before.append(Item("after-failed-load", "a context after a failed load", _after_failed_load))
    first = session_case(
        "order/compute-first",
        "compute before set_input",
        lambda b: [Item("-", "compute before set_input", lambda s: s.compute(b.context))],
        group="order",
        module=module,
    )
    output = session_case(
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
