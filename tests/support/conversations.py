"""Random conversations of guests with wasi-nn, said in any ABI, and hosts of one policy under any numbers."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from lading import profiles
from lading.variants.guests.abi import Abi, Enum
from tests.support.script_guest import model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.speakers import Speaker

WIDTHS = {"f16": 2, "f32": 4, "f64": 8, "u8": 1, "i32": 4, "i64": 8}
MODELS = ("digits_f32", "x_two_in", "x_two_out", "x_u8", "hello_world_float")
TO_FAR = 0x7FFFFF00


@dataclass(frozen=True)
class Say:
    """One thing that a guest says."""

    what: str
    numbers: tuple[int, ...] = ()
    words: tuple[str, ...] = ()
    dims: tuple[int, ...] = ()
    data: bytes = b""
    wrong_length: int | None = None


_handles = st.integers(0, 2)
_few = st.integers(0, 1)
_shapes = st.sampled_from([(1, 8, 8, 1), (8, 8), (1, 1), (3,), (1, 3), (64,), (2, 2, 2), ()])


def loads(encodings: Sequence[str], targets: Sequence[str]) -> st.SearchStrategy[Say]:
    """``load`` of a model, or of something else."""
    return st.builds(
        lambda name, encoding, target, builders: Say("load", (builders,), (encoding, target), data=name),
        st.sampled_from([*map(model, MODELS), b"", b"nonsense"]),
        st.sampled_from(["tensorflowlite"] * 4 + list(encodings)),
        st.sampled_from(["cpu"] * 4 + list(targets)),
        st.sampled_from([1, 1, 1, 1, 0, 2]),
    )


@st.composite
def inputs(draw: st.DrawFn, kinds: Sequence[str], *, lengths: bool) -> Say:
    """``set_input`` with as much data as the dimensions say, or (``lengths``) another number."""
    kind, dims = draw(st.sampled_from(["f32"] * 3 + list(kinds))), draw(_shapes)
    size = math.prod(dims) * WIDTHS.get(kind, 4)
    data = draw(st.binary(min_size=size, max_size=size)) if size <= 64 else bytes(range(size % 200)) * 9
    wrong = draw(st.sampled_from([None, None, None, 0, 4, 255])) if lengths else None
    return Say("set_input", (draw(_few), draw(_few)), (kind,), dims, (data + bytes(size))[:size], wrong)


def conversations(
    encodings: Sequence[str], targets: Sequence[str], kinds: Sequence[str], *, sizes: Sequence[int], lengths: bool
) -> st.SearchStrategy[list[Say]]:
    """What a guest says from its start to its end; most of them load something first."""
    whole = [
        Say("load", (1,), ("tensorflowlite", "cpu"), data=model("digits_f32")),
        Say("init", (0,)),
        Say("set_input", (0, 0), ("f32",), (1, 8, 8, 1), bytes(range(256))),
        Say("compute", (0,)),
        Say("get_output", (0, 0, 40)),
    ]
    one = st.one_of(
        loads(encodings, targets),
        st.builds(lambda g: Say("init", (g,)), _handles),
        inputs(kinds, lengths=lengths),
        inputs(kinds, lengths=lengths),
        st.builds(lambda c: Say("compute", (c,)), _handles),
        st.builds(lambda c, i, n: Say("get_output", (c, i, n)), _few, _few, st.sampled_from(list(sizes))),
        st.just(Say("grow")),
    )
    return st.builds(lambda first, rest: whole[:first] + rest, st.integers(0, 5), st.lists(one, max_size=10))


def say(speaker: Speaker, conversation: Sequence[Say]) -> list[tuple[str, int, int]]:
    """Say it all in a speaker's ABI; returns what the host writes: kind, place, and how many bytes."""
    places = []
    for one in conversation:
        if one.what == "load":
            encoding, target = one.words
            places.append(("handle", speaker.load(one.data, encoding, target, one.numbers[0]), 4))
        elif one.what == "init":
            places.append(("handle", speaker.init(*one.numbers), 4))
        elif one.what == "set_input":
            context, index = one.numbers
            speaker.set_input(one.dims, one.words[0], one.data, context=context, index=index, length=one.wrong_length)
        elif one.what == "compute":
            speaker.compute(*one.numbers)
        elif one.what == "get_output":
            context, index, size = one.numbers
            at, written = speaker.get_output(size, context=context, index=index)
            places += [("data", at, max(size, 4) + 16), ("size", written, 4)]
        else:
            speaker.script.grow(1)
    return places


def host(numbers: Abi, *, exact: bool) -> dict[str, Any]:
    """A host that decides as lading's own does, under other numbers and in another layout.

    Args:
        numbers: what it speaks.
        exact: sizes are bytes on both sides of a comparison, so that they can be told exactly.
    """
    doc = copy.deepcopy(profiles.shipped("lading-litert").resolved())
    doc["id"] = numbers.name
    doc["abi"] = {
        "modules": [numbers.module],
        "layout": numbers.layout,
        "tensor_types": dict(numbers.tensor_types.numbers),
        "encodings": dict(numbers.encodings.numbers),
        "targets": dict(numbers.targets.numbers),
        "errno": dict(numbers.errno),
    }
    doc["functions"] = {k: v for k, v in doc["functions"].items() if k in numbers.functions}
    if not exact:
        words = {"unit": "elements"} if numbers.size_unit == "words" else {}
        output = doc["functions"]["get_output"]
        doc["functions"]["get_output"] = [
            {
                k: v
                for k, v in {**s, **(words if s["step"] in {"capacity", "put-output"} else {})}.items()
                if k != "write"
            }
            for s in output
        ]
    if numbers.layout != "witx":
        doc["functions"]["set_input"] = [s for s in doc["functions"]["set_input"] if s["step"] != "data-length"]
    return doc


@st.composite
def abis(draw: st.DrawFn, name: str, *, layout: str = "witx") -> Abi:
    """Any numbers for lading's names, each name with one of its own."""
    from lading.variants.guests.abi import abi_of

    base = abi_of(profiles.shipped("lading-litert"))

    def shuffled(names: Sequence[str], most: int) -> dict[str, int]:
        numbers = draw(st.lists(st.integers(0, most), min_size=len(names), max_size=len(names), unique=True))
        return dict(zip(names, numbers, strict=True))

    others = [n for n in base.errno if n != "success"]
    errno = {n: number + 1 for n, number in shuffled(others, 254).items()}
    functions = ("load", "init_execution_context", "set_input", "compute", "get_output")
    return Abi(
        name=name,
        module="wasi_ephemeral_nn" if layout == "witx" else "wasi_nn",
        layout="witx" if layout == "witx" else "wamr-legacy",
        functions=frozenset(functions),
        refused=frozenset(),
        tensor_types=Enum(shuffled(list(base.tensor_types.numbers), 190), 0xFF),
        encodings=Enum(shuffled(list(base.encodings.numbers), 70)),
        targets=Enum(shuffled(list(base.targets.numbers), 70)),
        errno={"success": 0, **errno},
        size_unit=draw(st.sampled_from(["bytes", "words"])) if layout == "witx" else "words",
        bad_pointer="invalid_argument" if layout == "witx" else "trap",
    )
