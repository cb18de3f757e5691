"""How long it takes to give a model of 4 MB other inputs and outputs, and to see what is possible; against a copy."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING

from lading.variants.models.retype import possible, retype
from scripts.benchmarks.timing import ms

if TYPE_CHECKING:
    from collections.abc import Callable

LAYERS, WIDTH = 64, 256
"""int8 weight matrices, 64 KiB each."""


def measure() -> dict[str, float]:
    model = stack()
    return {
        "model_bytes": len(model),
        "copy_ms": ms(_timed(lambda: bytes(bytearray(model)))),
        "retype_ms": ms(_timed(lambda: retype(model, inputs="float32", outputs="float32"))),
        "possible_ms": ms(_timed(lambda: possible(model))),
    }


def _timed(work: Callable[[], object]) -> float:
    """The median of nine, in seconds; the first, which imports, is left out."""
    work()
    times = []
    for _ in range(9):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return median(times)


def stack() -> bytes:
    """Fully connected int8 layers one after the other."""
    from tests.support.edge_models import Maker

    maker = Maker()
    shape = (1, WIDTH)
    ends = [maker.tensor(f"t{n}", shape=shape) for n in range(LAYERS + 1)]
    for layer in range(LAYERS):
        weights = bytes((layer * 31 + at * 7) % 251 for at in range(WIDTH)) * WIDTH
        matrix = maker.tensor(f"w{layer}", shape=(WIDTH, WIDTH), steps=(0.01, 0), data=weights)
        maker.operator("FULLY_CONNECTED", [ends[layer], matrix], [ends[layer + 1]])
    return maker.build([ends[0]], [ends[-1]], signatures=[maker.signature({"x": ends[0]}, {"y": ends[-1]})])
