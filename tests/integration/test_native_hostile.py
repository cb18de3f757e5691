"""What hostile guests and models meet on the native runner: an error by name, the same on both hosts, never a hang."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from lading import profiles
from lading_agent.nn.facts import read_model
from lading_agent.runs.spec import Limits
from tests.support.dynamic_models import where
from tests.support.hosts import agree, native
from tests.support.script_guest import Script, model

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.script_guest import Outcome

F32 = 1
NAMED_ENDS = {"exit", "interpreter-crashed", "out-of-memory", "time-limit"}
STRICTER = {
    "native": (
        "cannot read the model: metadata without",
        "cannot read the model: a",
        "cannot read the model: too many",
    ),
    "python": ("codec can't decode",),
}
"""What one host refuses by name and the other never meets: what stops LiteRT's loader; names that are no text."""


@pytest.fixture(scope="module")
def litert() -> dict[str, Any]:
    return profiles.find("lading-litert").resolved()


@pytest.mark.parametrize("dims", [(2, 4), (1, 8), (1000, 4), (0x40000000, 4), (0, 4), (1, 4, 1), ()])
@pytest.mark.parametrize("name", ["x_f32", "x_dynbatch"])
def test_a_guest_that_resizes_an_input_is_refused_by_name_and_goes_on(
    tmp_path: Path, litert: dict[str, Any], name: str, dims: tuple[int, ...]
) -> None:
    script = Script()
    script.load(model(name))
    script.init()
    for size in (16, 32, 4000):
        script.call("set_input", 0, 0, script.tensor(dims, F32, bytes(size)))
    script.call("compute", 0)
    script.output(4096)
    script.call("set_input", 0, 0, script.tensor((1, 4), F32, bytes(16)))
    script.call("compute", 0)
    script.output(16)
    ran = agree(script, tmp_path, litert)
    assert ran.result.kind == "exit"
    assert ran.errnos == [0, 0, 1, 1, 1, 0, 0, 0, 0, 0]
    assert ran.logs().count(": dimensions: invalid_argument") == 3


def test_a_model_with_dynamic_tensors_is_refused_by_name(tmp_path: Path, litert: dict[str, Any]) -> None:
    script = Script()
    script.load(where(16))
    script.init()
    script.load(model("x_f32"))
    script.init(1)
    script.call("compute", 0)
    ran = script.run(tmp_path, litert, command=native())
    assert ran.errnos == [0, 5, 0, 0, 0]
    assert "known only while the model runs" in ran.logs()


@pytest.mark.parametrize("name", ["x_two_in", "digits_int8"])
def test_truncated_models_are_refused_alike(tmp_path: Path, litert: dict[str, Any], name: str) -> None:
    good = model(name)
    script = Script()
    for part in range(1, 12):
        script.load(good[: len(good) * part // 12])
    ran = agree(script, tmp_path, litert)
    assert set(ran.errnos) == {1}


def damaged(name: str, seed: int) -> bytes:
    chance = random.Random(seed)
    data = bytearray(model(name))
    for _ in range(chance.randint(1, 4)):
        data[chance.randrange(len(data) if chance.random() < 0.5 else 600)] ^= 1 << chance.randrange(8)
    return bytes(data)


def use(data: bytes, name: str) -> Script:
    script = Script()
    script.load(data)
    script.init()
    for index, tensor in enumerate(read_model(model(name)).inputs):
        code = F32 if tensor.dtype == "float32" else 3
        script.call("set_input", 0, index, script.tensor(tensor.shape, code, bytes(tensor.nbytes)))
    script.call("compute", 0)
    script.output(256)
    return script


def came_of(ran: Outcome) -> tuple[str, bool]:
    """How a run ended, and whether the model was taken; at which call it is refused is each host's own affair."""
    return ran.result.kind, ran.errnos[:2] == [0, 0]


def test_models_with_flipped_bits_end_by_name_and_alike(tmp_path: Path, litert: dict[str, Any]) -> None:
    command = replace(native(), code=tmp_path)
    for seed in range(40):
        name = ["x_f32", "digits_int8", "x_two_in", "hello_world_int8"][seed % 4]
        script = use(damaged(name, seed), name)
        limits = Limits(time_s=20.0)
        python = script.run(tmp_path, litert, limits=limits)
        ours = script.run(tmp_path, litert, limits=limits, command=command)
        assert ours.result.kind in NAMED_ENDS, (seed, ours.result)
        assert ours.result.kind == "exit" or ours.result.message
        refused = {"native": ours.logs(), "python": python.logs()}
        stricter = any(words in refused[host] for host, reasons in STRICTER.items() for words in reasons)
        assert came_of(ours) == came_of(python) or stricter, (seed, came_of(ours), came_of(python), refused)
