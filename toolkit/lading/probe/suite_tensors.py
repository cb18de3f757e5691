"""Cases of tensors: types by code, shapes and lengths, handles, pointers and buffers."""

from __future__ import annotations

import struct
from typing import Any

from lading.probe.cases import LEGACY, WITX, Case, Item
from lading.probe.prologues import AMPLE, CODES, FLOATS, TYPES, WIDTH_OF, Filled, Loaded, session_case
from lading.probe.script import OUTSIDE, SIZE, Script


def cases(module: str) -> list[Case]:
    """All cases of tensors for one import module."""
    return [*_types(module), *_shapes(module), *_inputs(module), *_outputs(module)]


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
        begin = Loaded(f"echo_{name}")
        items = []
        for code in CODES:
            for form in ("own", "f32") if WIDTH_OF[name] != 4 else ("own",):
                data = sample(name, code) if form == "own" else struct.pack("<4f", *(code + n for n in range(1, 5)))

                def echo(s: Script, begin: Loaded = begin, code: int = code, data: bytes = data) -> None:
                    s.set_input(begin.context, code, data)
                    s.compute(begin.context, if_ok=True)
                    s.get_output(begin.context, AMPLE, if_ok=True)

                about = f"{name} tensor, type code {code}, data as {'its own type' if form == 'own' else 'f32'}"
                items.append(Item(f"{code}-{form}", about, echo))
        unsafe = name in ("qi8", "i8") or module == LEGACY
        made.append(Case(f"type/{name}", f"inputs of type {name}", begin, tuple(items), "type", 1000, unsafe, module))
    return made


def _shapes(module: str) -> list[Case]:
    def items(begin: Loaded) -> list[Item]:
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

    return [session_case("shape", "shapes and lengths of inputs", items, group="input", module=module)]


def _inputs(module: str) -> list[Case]:
    def indices(begin: Loaded) -> list[Item]:
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

    def pointers(begin: Loaded) -> list[Item]:
        def item(id_: str, about: str, **how: Any) -> Item:
            return Item(id_, about, lambda s: s.set_input(begin.context, 1, FLOATS, note=about, **how))

        return [
            item("tensor-outside", "the tensor record is outside memory", tensor_at=OUTSIDE),
            item("dims-outside", "the dimensions are outside memory", dims_at=OUTSIDE),
            item("data-outside", "the data is outside memory", data_at=OUTSIDE),
            item("data-past-the-end", "the data ends outside memory", data_at=SIZE - 8),
        ]

    return [
        session_case("handle", "handles and indices", indices, group="input", module=module),
        session_case("input-pointer", "pointers of set_input", pointers, group="input", module=module),
    ]


def _outputs(module: str) -> list[Case]:
    exact = 4 if module == LEGACY else 16

    def items(begin: Loaded) -> list[Item]:
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

    return [session_case("output", "get_output", items, group="output", module=module, start=Filled())]
