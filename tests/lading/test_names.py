"""The one lookup of names."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading import names
from lading.errors import NameNotFound, NameNotUnique

BOARDS = ["raspberry-pi-4b", "raspberry-pi-5", "raspberry-pi-zero-w", "raspberry-pi-zero-2-w", "x86-64"]


def test_an_exact_name_wins_over_longer_ones() -> None:
    assert names.find("wamr-2.4", ["wamr-2.4", "wamr-2.4-legacy"], "profile") == "wamr-2.4"


def test_a_unique_prefix_is_enough_whatever_its_case() -> None:
    assert names.find("X86", BOARDS, "target") == "x86-64"
    assert names.find("Raspberry-Pi-4", BOARDS, "target") == "raspberry-pi-4b"


def test_an_exact_name_in_another_case_wins_over_longer_ones() -> None:
    assert names.find("WAMR-2.4", ["wamr-2.4", "wamr-2.4-legacy"], "profile") == "wamr-2.4"


def test_a_prefix_of_several_lists_them() -> None:
    with pytest.raises(NameNotUnique) as caught:
        names.find("raspberry-pi-z", BOARDS, "target")
    assert caught.value.details["candidates"] == ["raspberry-pi-zero-2-w", "raspberry-pi-zero-w"]
    assert "raspberry-pi-zero-w" in caught.value.message


def test_a_miss_lists_the_near_ones() -> None:
    with pytest.raises(NameNotFound) as caught:
        names.find("rasberry-pi-4b", BOARDS, "target")
    assert caught.value.details["near"][0] == "raspberry-pi-4b"
    assert "did you mean raspberry-pi-4b" in caught.value.remedy
    with pytest.raises(NameNotFound) as caught:
        names.find("pi-5", BOARDS, "target")
    assert caught.value.details["near"] == ["raspberry-pi-5"]


def test_an_empty_name_is_no_prefix_of_everything() -> None:
    for text in ("", "target:"):
        with pytest.raises(NameNotFound):
            names.find(text, ["only-one"], "target")


def test_a_qualifier_chooses_among_kinds() -> None:
    known: dict[names.Kind, list[str]] = {"target": ["kitchen", "x86-64"], "device": ["kitchen"]}
    with pytest.raises(NameNotUnique) as caught:
        names.match("kitchen", known)
    assert caught.value.details["candidates"] == ["device:kitchen", "target:kitchen"]
    assert names.match("device:kit", known) == names.Name("device", "kitchen")
    assert names.match("x", known) == names.Name("target", "x86-64")


def test_a_qualifier_that_does_not_belong_is_refused() -> None:
    with pytest.raises(NameNotFound, match="asks for a firmware profile"):
        names.find("profile:wamr-2.4", BOARDS, "target")


def test_a_hostile_name_is_shown_on_one_short_line() -> None:
    with pytest.raises(NameNotFound) as caught:
        names.find("\x1b[2J\n" + "a" * 100_000, BOARDS, "target")
    assert len(caught.value.message) < 200
    assert caught.value.message.isprintable()


@given(st.sets(st.text(string.ascii_letters + string.digits + "-.", min_size=1, max_size=12), max_size=12), st.data())
def test_every_name_finds_itself_and_any_word_finds_one_or_fails_cleanly(ids: set[str], data: st.DataObject) -> None:
    for id_ in ids:
        assert names.find(id_, ids, "device") == id_
    word = data.draw(st.text(max_size=12))
    try:
        found = names.find(word, ids, "device")
    except (NameNotFound, NameNotUnique) as error:
        assert error.remedy  # noqa: PT017
    else:
        qualifier, rest = names.split(word)
        assert qualifier in (None, "device")
        assert found.casefold().startswith(rest.casefold())
