"""A guest with several models whose data is converted in different ways."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lading import profiles
from lading.errors import NotAdaptable
from lading.variants.guests.abi import Conversion, Known, Plan, abi_of
from lading.variants.guests.adapt import adapt
from lading_agent.nn.facts import read_model
from tests.support.script_guest import model
from tests.support.speakers import Speaker, speak

IMAGE = bytes((i * 37) % 256 for i in range(64))
FLOATS = np.arange(64, dtype="<f4").tobytes()
OTHERS = ("wamr-2.4", "wamr-2.4-legacy", "wamr-main-legacy", "wamr-1.3-legacy")
_SILENT = frozenset(("load_by_name_with_config", "compute_single", "get_output_single", "fini_single", "unload",
                     "finalize_execution_context", "load_by_name"))  # fmt: skip


def _conversions(name: str) -> tuple[Conversion, ...]:
    facts = read_model(model("digits_uint8"))
    return tuple(
        Conversion(direction, 0, "uint8", "float32", t.scale, t.zero_point, t.count, model=name, nudge=nudge)  # type: ignore[arg-type]
        for direction, t, nudge in (("input", facts.inputs[0], 0.25), ("output", facts.outputs[0], 0.0))
    )


@pytest.mark.parametrize("other", OTHERS)
def test_each_model_has_its_own_conversions(other: str) -> None:
    mine, theirs = profiles.find("lading-litert"), profiles.find(other)
    speaker = Speaker(abi_of(mine), _SILENT)
    one, two = model("digits_uint8"), model("digits_f32")
    for content in (two, one):
        speaker.load(content)
    for graph in (1, 0, 1):
        speaker.init(graph)
    for context, kind, data, size in ((0, "u8", IMAGE, 10), (1, "f32", FLOATS, 40), (2, "u8", bytes(64), 10)):
        speaker.script.grow(1)
        speaker.set_input((1, 8, 8, 1), kind, data, context=context)
        speaker.compute(context)
        speaker.get_output(size, context=context)
    image, count = speaker.script.image(), len(speaker.script.calls)
    known = {"bytes": Known(size=len(one)), "floats": Known(size=len(two))}
    plan = Plan(abi_of(mine), abi_of(theirs), _conversions("bytes"), known=known)
    adapted = adapt(speaker.module, plan)
    before = speak(speaker.module, mine.resolved(), image, count)
    assert [e for i, e in enumerate(before.errnos) if i not in (5, 9, 13)] == [0] * 14, "the others are memory.grow"
    assert speak(adapted.module, theirs.resolved(), image, count) == before


@pytest.mark.parametrize("other", ["wamr-2.3", "wamr-2.3-legacy", "wamr-2.4"])
def test_models_that_are_part_of_the_guest_are_told_apart_by_their_names(other: str) -> None:
    """On the first two a load forgets what was loaded before: one model after the other."""
    mine, theirs = profiles.find("lading-litert"), profiles.find(other)
    speaker = Speaker(abi_of(mine), _SILENT - {"load_by_name"})
    models = {"bytes": model("digits_uint8"), "floats": model("digits_f32")}
    host = replace(abi_of(theirs), refused=abi_of(theirs).refused | {"load_by_name"})
    places: list[tuple[str, int, int, int]] = []
    for name, kind, data, size in (
        ("floats", "f32", FLOATS, 40),
        ("bytes", "u8", IMAGE, 10),
        ("floats", "f32", FLOATS, 40),
    ):
        n = len(places) if other == "wamr-2.4" else 0
        speaker.script.load_by_name(name.encode())
        speaker.init(n)
        speaker.set_input((1, 8, 8, 1), kind, data, context=n)
        speaker.compute(n)
        places.append((name, size, *speaker.get_output(size, context=n)))
    known = {name: Known(frozenset((name,))) for name in models}
    plan = Plan(abi_of(mine), host, _conversions("bytes"), models=models, known=known)
    adapted = adapt(speaker.module, plan)
    image, count = speaker.script.image(), len(speaker.script.calls)
    after = speak(adapted.module, theirs.resolved(), image, count)
    assert after.errnos == [0] * count
    for name, size, at, written in places:
        alone = Speaker(abi_of(mine), _SILENT)
        alone.load(models[name])
        alone.init()
        alone.set_input((1, 8, 8, 1), "u8" if name == "bytes" else "f32", IMAGE if name == "bytes" else FLOATS)
        alone.compute()
        wanted, _ = alone.get_output(size)
        own = speak(alone.module, mine.resolved(), alone.script.image(), 5)
        assert after.memory[at : at + size] == own.memory[wanted : wanted + size]
        assert int.from_bytes(after.memory[written : written + 4], "little") == size


def test_models_that_cannot_be_told_apart_are_refused() -> None:
    speaker, host = Speaker(abi_of(profiles.find("lading-litert")), _SILENT), abi_of(profiles.find("wamr-2.4"))
    for known, said in (
        ({}, "nothing is known"),
        ({"bytes": Known(size=7), "floats": Known(size=7)}, "7 bytes"),
        ({"bytes": Known(frozenset("a")), "floats": Known(frozenset("a"))}, "both called a"),
    ):
        with pytest.raises(NotAdaptable, match=said):
            adapt(speaker.module, Plan(speaker.abi, host, _conversions("bytes"), known=known))
