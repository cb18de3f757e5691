"""Random conversations: a rewritten guest hears from its new host what it would have heard from its own."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lading import profiles
from lading.variants.guests import numbers
from lading.variants.guests.abi import Abi, Plan, abi_of
from lading.variants.guests.adapt import adapt
from lading.wasm import read_module
from tests.support.conversations import abis, conversations, host, say
from tests.support.speakers import Speaker, speak

if TYPE_CHECKING:
    from lading.profiles.schema import FirmwareProfile

_SLOW = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
_LAYOUTS = ("witx", "wamr-legacy")
_FIVE = frozenset(("load", "init_execution_context", "set_input", "compute", "get_output"))

HOSTS: dict[str, FirmwareProfile] = {
    name: profile for name, profile in profiles.load_all().items() if profile.functions and profile.backend == "litert"
}
"""Every shipped firmware that takes guests and has TensorFlow Lite."""


@pytest.mark.parametrize("mine", _LAYOUTS)
@pytest.mark.parametrize("theirs", _LAYOUTS)
@given(data=st.data())
@_SLOW
def test_on_a_host_of_the_same_policy_every_errno_and_every_byte_is_the_same(
    mine: str, theirs: str, data: st.DataObject
) -> None:
    guest, other = data.draw(abis("mine", layout=mine)), data.draw(abis("theirs", layout=theirs))
    exact = guest.size_unit == other.size_unit == "bytes"
    conversation = data.draw(
        conversations(
            [*guest.encodings.numbers, "no such"],
            [*guest.targets.numbers, "no such"],
            [*guest.tensor_types.numbers, "no such"],
            sizes=(0, 4, 8, 39, 40, 41, 100, 400),
            lengths=mine == theirs == "witx",
        )
    )
    speaker = Speaker(guest)
    say(speaker, conversation)
    image, count = speaker.script.image(), len(speaker.script.calls)
    rewritten = adapt(speaker.module, Plan(guest, other)).module
    own = speak(speaker.module, host(guest, exact=exact), image, count)
    assert speak(rewritten, host(other, exact=exact), image, count) == own
    assert read_module(rewritten).exports == _moved(speaker.module, rewritten)


def _moved(before: bytes, after: bytes) -> object:
    """The exports of the original, with functions where they are now: names and kinds are what matters."""
    found = {e.name: e for e in read_module(after).exports}
    return [found[e.name] for e in read_module(before).exports if found[e.name].kind == e.kind]


@pytest.mark.parametrize("mine", sorted(HOSTS))
@given(data=st.data())
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_on_a_real_host_it_hears_what_a_guest_made_for_that_host_hears(mine: str, data: st.DataObject) -> None:
    theirs = data.draw(st.sampled_from(sorted(HOSTS)))
    guest, other = abi_of(HOSTS[mine]), abi_of(HOSTS[theirs])
    legacy = "wamr-legacy" in {guest.layout, other.layout}
    floats = guest.ignores_types and guest.layout != "witx"
    conversation = data.draw(
        conversations(
            [n for n in guest.encodings.numbers if n in other.encodings.numbers],
            [n for n in guest.targets.numbers if n in other.targets.numbers],
            ["f32"] if floats else [n for n in guest.tensor_types.numbers if n in other.tensor_types.numbers],
            sizes=(0, 8, 40, 100, 400),
            lengths=not legacy,
        )
    )
    silent = frozenset(other.functions | guest.functions) - _FIVE
    one, two = Speaker(guest, without=silent), Speaker(other, without=silent)
    places, there = say(one, conversation), say(two, conversation)
    count, personality = len(one.script.calls), HOSTS[theirs].resolved()
    rewritten = adapt(one.module, Plan(guest, other)).module
    heard = speak(rewritten, personality, one.script.image(), count)
    native = speak(two.module, personality, two.script.image(), count)
    assert heard.end == native.end
    assert heard.errnos == _said(conversation, native.errnos, guest, other)
    if heard.memory and native.memory:
        for (kind, at, size), (_, other_at, _) in zip(places, there, strict=True):
            if kind != "size":
                assert heard.memory[at : at + size] == native.memory[other_at : other_at + size]
    _untouched(one, heard.memory, places)


def _said(conversation: object, errnos: list[int], guest: Abi, other: Abi) -> list[int]:
    """The host's errnos in the guest's numbers (what ``memory.grow`` gave is no errno)."""
    table = numbers.errno_table(other, guest)
    assert isinstance(conversation, list)
    return [e if said.what == "grow" else table.get(e, e) for said, e in zip(conversation, errnos, strict=False)]


def _untouched(speaker: Speaker, memory: bytes, places: list[tuple[str, int, int]]) -> None:
    """Whatever the guest laid out is as it was, but for what a host writes."""
    if not memory:
        return
    written = {byte for _, at, size in places for byte in range(at, at + size)}
    for at, piece in speaker.script.pieces:
        for i, byte in enumerate(piece):
            assert at + i in written or memory[at + i] == byte
    assert memory[struct.calcsize("I") * 4 : 32] == bytes(16)
