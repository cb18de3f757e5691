"""What a device lacks for an engine is said before anything is sent, with what can be done."""

from __future__ import annotations

from typing import Any

import pytest

from lading import engines
from lading.engines.suit import combine
from lading_agent.facts.gather import facts_of

NEEDS = {"architecture": "aarch64", "glibc": "2.34", "glibcxx": "3.4.30", "libgcc": "4.2.0"}


def facts(**changes: Any) -> dict[str, Any]:
    known = {
        "system": {"machine": "aarch64"},
        "libc": {"kind": "glibc", "version": "2.36"},
        "libstdcxx": {"glibcxx": "3.4.30", "path": "/usr/lib/aarch64-linux-gnu/libstdc++.so.6"},
    }
    return known | changes


def test_a_device_with_all_of_it_fits() -> None:
    assert engines.fits(NEEDS, facts()) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"libc": {"kind": "glibc", "version": "2.31"}}, ["glibc 2.34", "glibc 2.31", "Debian 12"]),
        ({"libc": {"kind": "glibc", "version": "2.4"}}, ["glibc 2.34", "glibc 2.4"]),
        ({"libc": {"kind": "musl", "version": "1.2.4"}}, ["glibc 2.34", "musl 1.2.4", "wasmedge"]),
        ({"libc": {"kind": "uclibc", "version": ""}}, ["uclibc:"]),
        ({"libstdcxx": {}}, ["libstdc++", "apt install libstdc++6"]),
        ({"libstdcxx": {"glibcxx": "3.4.9"}}, ["GLIBCXX_3.4.30", "GLIBCXX_3.4.9"]),
        ({"system": {"machine": "armv7l"}}, ["aarch64", "armv7l", "iwasm"]),
        (
            {"libstdcxx": {"glibcxx": "3.4.30", "path": "/usr/lib/arm-linux-gnueabihf/libstdc++.so.6"}},
            ["32-bit", "64-bit"],
        ),
    ],
)
def test_what_is_missing_is_named(changes: dict[str, Any], words: list[str]) -> None:
    (reason,) = engines.fits(NEEDS, facts(**changes))
    assert all(word in reason for word in words), reason


def test_another_name_of_an_architecture_is_the_same() -> None:
    assert engines.fits(NEEDS, facts(system={"machine": "arm64"})) == []


def test_what_a_device_does_not_say_is_no_reason() -> None:
    assert engines.fits(NEEDS, {}) == []
    assert engines.fits(NEEDS, facts_of({})) == []


def test_a_part_that_needs_nothing_fits_everywhere() -> None:
    assert engines.fits({}, facts(libc={"kind": "musl", "version": "1.2.4"}, libstdcxx={})) == []


def test_a_bullseye_board_is_refused_for_both_libraries() -> None:
    sources = {
        "uname": "Linux 6.1.21 aarch64",
        "libc": "glibc 2.31",
        "libstdcxx": "file /usr/lib/aarch64-linux-gnu/libstdc++.so.6\nGLIBCXX_3.4\nGLIBCXX_3.4.28",
    }
    reasons = engines.fits(engines.minimums("aarch64"), facts_of(sources))
    assert len(reasons) == 2
    assert "2.31" in reasons[0]
    assert "3.4.28" in reasons[1]


def test_parts_together_need_the_newest_of_each() -> None:
    one, other = (
        {"architecture": "x86_64", "glibc": "2.9"},
        {"architecture": "x86_64", "glibc": "2.28", "libgcc": "3.0"},
    )
    assert combine([one, other]) == {"architecture": "x86_64", "glibc": "2.28", "libgcc": "3.0"}
