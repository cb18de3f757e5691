from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading_agent import PROTOCOL
from lading_agent.errors import AgentError
from lading_agent.wire.hello import Hello, parse


def document(**changes: Any) -> dict[str, Any]:
    return {**Hello(role="agent", features=("push",)).to_json(), **changes}


def test_a_hello_reads_as_it_was_written() -> None:
    hello = Hello(role="agent", features=("a", "b"), python="3.9.2", target={"id": "t"}, profile={"id": "p"})
    assert parse(hello.to_json(), expect="agent") == hello


def test_a_newer_minor_and_unknown_features_are_welcome() -> None:
    protocol = {"major": PROTOCOL, "minor": 9, "patch": "x"}
    hello = parse(document(protocol=protocol, features=["push", "teleport", 7]), expect="agent")
    assert hello.protocol == (PROTOCOL, 9)
    assert hello.features == ("push", "teleport")


def test_private_keys_are_left_alone() -> None:
    assert parse(document(**{"x-vendor": {"a": 1}}), expect="agent").role == "agent"


@pytest.mark.parametrize(
    ("changes", "expect", "remedy"),
    [
        ({"protocol": {"major": PROTOCOL + 1, "minor": 0}}, "agent", "update lading on this computer"),
        ({"protocol": {"major": PROTOCOL - 1, "minor": 0}}, "agent", "update the agent on the device"),
        ({"protocol": {"major": PROTOCOL + 1, "minor": 0}, "role": "client"}, "client", "update the agent"),
        ({"protocol": {"major": PROTOCOL - 1, "minor": 0}, "role": "client"}, "client", "update lading"),
        ({"schema": 2}, "agent", "update lading on this computer"),
        ({"wings": 2}, "agent", "update lading on this computer"),
        ({"role": "client"}, "agent", "update"),
    ],
)
def test_a_mismatch_says_which_side_to_update(changes: dict[str, Any], expect: str, remedy: str) -> None:
    with pytest.raises(AgentError) as caught:
        parse(document(**changes), expect=expect)
    assert caught.value.code == "version-mismatch"
    assert remedy in caught.value.remedy


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*document(), "target", "client", "junk"]), json_values))
def test_no_hello_crashes_the_reader(changes: dict[str, Any]) -> None:
    with contextlib.suppress(AgentError):
        assert parse(document(**changes), expect="agent").role == "agent"
