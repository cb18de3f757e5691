"""The streaming guest in the emulated host: the state goes from step to step, and fini_single ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.emulate import EmulateOptions, NamedModel
from tests.support.examples import EXAMPLES
from tests.support.runs import run_module

if TYPE_CHECKING:
    from tests.support.runs import Ran

STREAM = EXAMPLES / "stream"
STATE = {"next_state": "state"}
LIKELIEST = "at dawn we traded a dozen casks of tar for lisbon."


def stream(*args: str, state: dict[str, str] = STATE) -> Ran:
    model = NamedModel("shiplog", STREAM / "models" / "shiplog.tflite", state=state)
    return run_module(STREAM / "stream.wasm", EmulateOptions(args=args, models=[model]))


def test_self_test_writes_the_same_line_twice() -> None:
    ran = stream("--self-test")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out == f"{LIKELIEST}\n{LIKELIEST}\nself-test ok\n"


def test_each_step_is_reported_as_it_comes() -> None:
    ran = stream("--temperature", "0", "--lines", "1")
    steps = [event["step"] for event in ran.events if event["event"] == "tensor" and event["output"] == "logits"]
    assert len(steps) == len(LIKELIEST) + 1
    assert steps == sorted(set(steps))


def test_lines_begin_as_asked_and_are_the_same_for_a_seed() -> None:
    first = stream("--lines", "5", "--seed", "4", "after dark")
    assert first.status == 0
    lines = first.out.splitlines()
    assert len(lines) == 5
    assert len(set(lines)) > 1
    assert all(line.startswith("after dark ") and line.endswith(".") for line in lines)
    assert stream("--lines", "5", "--seed", "4", "after dark").out == first.out
    assert stream("--lines", "5", "--seed", "5", "after dark").out != first.out


def test_without_the_declared_state_it_does_not_write_sentences() -> None:
    ran = stream("--temperature", "0", "--lines", "1", "--max", "60", state={})
    assert ran.out != f"{LIKELIEST}\n"


def test_wrong_beginnings_are_refused() -> None:
    ran = stream("At dawn")
    assert ran.status == 2
    assert ran.err == "stream At dawn: small letters, space and . , ' only\n"
