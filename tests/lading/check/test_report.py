"""Exit statuses and JUnit of a check; what ``--on`` names."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from lading import profiles, targets
from lading.check.places import places
from lading.check.report import Report
from lading.check.verdict import At, Errno, Verdict, Word
from lading.errors import NameNotFound, UsageError
from lading.trace.document import End, Trace
from lading.trace.numbering import Numbering

TRACE = Trace("app 1.0.0", {}, (), {}, (), Numbering("undetermined"), End("exit", 0, "exit"))


def verdict(profile: str, word: Word) -> Verdict:
    if word == "fails":
        return Verdict(
            word, profile, "measured", At(3, "set_input"), "errno", Errno("busy", 4), "bad \x1b[31m <&> \x00", "r"
        )
    return Verdict(word, profile, "declared", reason="" if word == "ok" else "nobody knows")


def report(**words: Word) -> Report:
    return Report(TRACE, tuple(verdict(p.replace("_", "-"), w) for p, w in words.items()))


@pytest.mark.parametrize(
    ("words", "require", "allow", "status"),
    [
        ({"a": "ok", "b": "fails"}, [], False, 0),
        ({"a": "fails", "b": "fails"}, [], False, 1),
        ({"a": "unknown"}, [], False, 1),
        ({"a": "unknown"}, [], True, 0),
        ({"a": "ok", "b": "fails"}, ["all"], False, 1),
        ({"a": "ok", "b": "unknown"}, ["all"], True, 0),
        ({"a": "ok", "b": "fails"}, ["a"], False, 0),
        ({"a": "ok", "b": "fails"}, ["a", "b"], False, 1),
        ({}, [], False, 1),
    ],
)
def test_the_exit_status_is_what_is_required(
    words: dict[str, Word], require: list[str], allow: bool, status: int
) -> None:
    assert report(**words).status(require, allow_unknown=allow) == status


def test_what_is_required_has_to_be_checked() -> None:
    with pytest.raises(UsageError, match="not among"):
        report(a="ok").status(["b"], allow_unknown=False)


def test_junit_holds_every_verdict_and_no_character_that_xml_does_not_have() -> None:
    root = ET.fromstring(report(a="ok", b="fails", c="unknown").to_junit())
    suite = root[0]
    assert suite.attrib["tests"] == "3"
    assert (suite.attrib["failures"], suite.attrib["skipped"]) == ("1", "1")
    failure = suite.find("./testcase[@name='b']/failure")
    assert failure is not None
    assert failure.attrib["type"] == "busy (4)"
    assert "set_input (call 3)" in (failure.text or "")


def test_all_are_all_profiles() -> None:
    assert [p.profile.id for p in places(["all"])] == list(profiles.load_all())


def test_a_target_stands_for_its_profiles() -> None:
    target = targets.find("raspberry-pi-4b")
    found = places(["raspberry-pi-4b", "target:raspberry-pi-4b"])
    assert [p.profile.id for p in found] == list(target.profiles)
    assert all(p.target is not None and p.memory_bytes == target.run_memory_bytes for p in found)


def test_an_emulated_device_has_its_own_firmware() -> None:
    (place,) = places(["emulated://raspberry-pi-4b?firmware=wamr-2.4"])
    assert (place.profile.id, place.target.id if place.target else "") == ("wamr-2.4", "raspberry-pi-4b")


def test_a_name_that_nobody_has_is_refused_with_the_near_ones() -> None:
    with pytest.raises(NameNotFound) as caught:
        places(["wasmedge-0.41"])
    assert "wasmedge-0.14" in caught.value.remedy


def test_naming_nothing_is_wrong_use() -> None:
    with pytest.raises(UsageError, match="--on names nothing"):
        places([])
