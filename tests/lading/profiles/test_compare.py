"""What two firmwares do differently is told by key, and step by step."""

from __future__ import annotations

from lading import profiles
from lading.profiles import Difference


def test_a_profile_does_not_differ_from_itself() -> None:
    profile = profiles.find("wasmedge-0.17")
    assert profiles.differences(profile, profile) == []


def test_numbers_of_an_enum_are_told_by_name() -> None:
    found = profiles.differences(profiles.find("wasmedge-0.17"), profiles.find("wasmedge-0.14"))
    assert Difference("abi.tensor_types.u8", 3, 2) in found
    assert Difference("abi.tensor_types.f64", 2, None) in found
    assert not any(d.key.startswith(("title", "summary", "provenance")) for d in found)


def test_a_step_more_does_not_make_all_that_follow_differ() -> None:
    found = profiles.differences(profiles.find("wasmedge-0.17"), profiles.find("wasmedge-main"))
    loads = [d for d in found if d.key.startswith("functions.load[")]
    assert loads == [Difference("functions.load[8]", "graph-slot, fail = segv", None)]


def test_the_order_of_steps_is_a_difference() -> None:
    left, right = profiles.find("lading-litert"), profiles.find("wasi-nn-witx")
    keys = [d.key for d in profiles.differences(left, right)]
    assert any(k.startswith("functions.set_input[") for k in keys)
    assert keys == sorted(keys, key=lambda k: k.split("[", maxsplit=1)[0])
