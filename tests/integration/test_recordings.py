"""Each personality answers what the real runtime answered, call for call."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.recordings import FOLDER, NOT_COMPARED, PROFILES, cases
from tests.support.replay import Replayer

if TYPE_CHECKING:
    from collections.abc import Callable


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
