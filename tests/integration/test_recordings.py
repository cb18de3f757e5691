"""Each personality answers what the real runtime answered, call for call."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.recordings import FOLDER, NOT_COMPARED, PROFILES, Case, Replayed, cases, differences
from tests.support.replay import Replayer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@pytest.mark.parametrize("recording", PROFILES)
def test_a_personality_replays_its_recording(
    recording: str, record_property: Callable[[str, object], None], capsys: pytest.CaptureFixture[str]
) -> None:
    with Replayer() as replayer:
        result = replayer.replay(cases(recording))
    for name in ("cases", "calls", "mismatches"):
        record_property(name, getattr(result, name))
    with capsys.disabled():
        sys.stdout.write(f"\n{recording} on {PROFILES[recording]}: {result.text(0)}\n")
    assert not result.different, result.text()


def test_every_recording_is_replayed() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(PROFILES)


def test_the_recordings_hold_what_their_description_says() -> None:
    recorded = [case for recording in PROFILES for case in cases(recording)]
    assert len(recorded) == 4121
    assert sum(len(case.steps) for case in recorded) > 17_700


def test_only_what_the_recordings_except_is_not_compared() -> None:
    description = " ".join((FOLDER / "README.md").read_text(encoding="utf-8").split())
    for exception in NOT_COMPARED.values():
        assert exception.sentence in description, exception.name


def recorded(name: str, model: str = "digits_f32") -> Case:
    return next(c for c in cases("wasmedge-0.17.1") if c.name == name and c.model == model)


def replayed(
    case: Case, change: Mapping[int, Mapping[str, Any]], *, status: int = 0, outcome: str = "exit"
) -> Replayed:
    """The case itself as if it had been replayed, with some things changed."""
    steps = [{**step, **change.get(i, {})} for i, step in enumerate(case.steps)]
    return Replayed(steps, outcome, status, outcome, "", [])


GOOD = recorded("pad/garbage-padding")
OUTPUT = str(GOOD.steps[4]["data"])


def test_a_case_does_not_differ_from_itself() -> None:
    assert not list(differences(GOOD, replayed(GOOD, {})))


@pytest.mark.parametrize(
    "change",
    [
        {0: {"errno": 1}},
        {1: {"ctx": 7}},
        {3: {"fn": "(no return)"}},
        {4: {"bytes_written": 10}},
        {4: {"data": "ff" + OUTPUT[2:6] + "40" + OUTPUT[8:]}},
        {4: {"data": OUTPUT[:-2] + "00"}},
        {4: {"f32_argmax": 3}},
    ],
)
def test_a_replay_that_differs_is_noticed(change: Mapping[int, Mapping[str, Any]]) -> None:
    assert list(differences(GOOD, replayed(GOOD, change)))


def test_the_last_digit_of_a_float_is_not_a_difference() -> None:
    assert not list(differences(GOOD, replayed(GOOD, {4: {"data": "c1" + OUTPUT[2:]}})))


def test_another_end_is_noticed() -> None:
    assert list(differences(GOOD, replayed(GOOD, {}, status=1)))
    crashed = recorded("load_by_name/len-huge")
    assert not list(differences(crashed, replayed(crashed, {}, status=139, outcome="host-crash")))
    assert list(differences(crashed, replayed(crashed, {}, status=139, outcome="exit")))
    assert list(differences(crashed, replayed(crashed, {}, status=134, outcome="host-crash")))


def test_a_step_that_is_missing_is_noticed() -> None:
    found = replayed(GOOD, {})
    del found.steps[-1]
    assert list(differences(GOOD, found))


def test_another_firmware_does_not_replay_a_recording() -> None:
    moved = [Case("wasmedge-0.14.1", c.name, c.model, c.steps, c.exit, c.signal) for c in cases("wasmedge-0.17.1")]
    with Replayer() as replayer:
        result = replayer.replay(c for c in moved if c.model == "digits_uint8" and c.name.startswith("type/3"))
    assert result.cases
    assert result.different
