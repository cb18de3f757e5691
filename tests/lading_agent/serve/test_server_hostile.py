"""A client that does not keep to the protocol harms nobody but its own connection."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lading_agent.serve.server import HANDLERS, Server
from lading_agent.wire import messages
from lading_agent.wire.connection import FrameWriter
from lading_agent.wire.frames import CANCEL, DATA, ERROR, HELLO, MESSAGE, REPLY, REQUEST, FrameReader, header
from lading_agent.wire.hello import Hello
from tests.support.cargo import cargo
from tests.support.local_agent import served, session
from tests.support.stores import assert_whole

if TYPE_CHECKING:
    from pathlib import Path


class RawClient:
    """Sends what it likes, and hears what the agent says until the end."""

    def __init__(self, home: Path, *, greet: bool = True) -> None:
        agent_in, self.write_fd = os.pipe()
        read_fd, agent_out = os.pipe()
        self.status: list[int] = []

        def serve() -> None:
            server = Server(served(home), lambda n: os.read(agent_in, n), lambda data: _all(agent_out, data))
            self.status.append(server.serve())
            os.close(agent_out)
            os.close(agent_in)

        self._threads = [threading.Thread(target=serve), threading.Thread(target=self._hear, args=(read_fd,))]
        self.heard: list[tuple[int, int, dict[str, Any]]] = []
        for thread in self._threads:
            thread.start()
        self.writer = FrameWriter(self.raw)
        self.writer.limit = 2**32
        if greet:
            self.writer.hello(Hello(role="client", client={"user": "u", "host": "h", "pid": 1}).to_json())

    def raw(self, data: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):
            _all(self.write_fd, data)

    def _hear(self, fd: int) -> None:
        reader = FrameReader(lambda n: os.read(fd, n))
        reader.skip_to_magic()
        while (frame := reader.next()) is not None:
            if frame.kind in (REPLY, ERROR):
                self.heard.append((frame.kind, frame.request, messages.decode(frame.payload)))
        os.close(fd)

    def end(self) -> list[tuple[int, int, dict[str, Any]]]:
        os.close(self.write_fd)
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive(), "the agent hangs"
        return self.heard


def _all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("hostile") / "home"
    with session(home) as agent:
        agent.push(cargo())
    return home


def is_sane(home: Path) -> None:
    assert_whole(home, "echo", {cargo().release})
    with session(home) as agent:
        assert agent.push(cargo()).already_current


def test_a_request_number_that_is_in_use_is_refused(home: Path) -> None:
    client = RawClient(home)
    for number in (5, 5, 0):
        client.writer.message(REQUEST, number, {"verb": "push", "bill_size": 10, "bill_digest": ""})
    heard = client.end()
    assert [(kind, number) for kind, number, _ in heard if "in use" in str(_)] == [(ERROR, 5), (ERROR, 0)]
    is_sane(home)


def test_too_many_requests_at_once_are_refused(home: Path) -> None:
    client = RawClient(home)
    for number in range(1, 40):
        client.writer.message(REQUEST, number, {"verb": "push", "bill_size": 10, "bill_digest": ""})
    refused = [answer for _, _, answer in client.end() if "under way already" in answer["message"]]
    assert len(refused) == 39 - 16
    is_sane(home)


def test_a_frame_over_the_limit_ends_the_connection(home: Path) -> None:
    client = RawClient(home)
    client.raw(header(REQUEST, 1, 2**31))
    assert "over the limit" in client.end()[-1][2]["message"]
    assert client.status == [1]
    is_sane(home)


@pytest.mark.parametrize(
    "message",
    [
        {"message": "blob", "index": 10**9, "offset": 0},
        {"message": "blob", "index": -1, "offset": 0},
        {"message": "blob", "index": True, "offset": 0},
        {"message": "blob", "index": 0, "offset": 10**15},
        {"message": "blob", "index": 0, "offset": 1},
        {"message": "commit"},
        {"message": "levitate"},
        {},
    ],
)
def test_a_push_out_of_step_is_refused_and_leaves_the_old_release(home: Path, message: dict[str, Any]) -> None:
    import hashlib

    bill = cargo("2.0.0").bill_bytes
    client = RawClient(home)
    digest = f"sha256:{hashlib.sha256(bill).hexdigest()}"
    client.writer.message(REQUEST, 1, {"verb": "push", "bill_size": len(bill), "bill_digest": digest})
    client.writer.data(DATA, 1, bill)
    client.writer.message(MESSAGE, 1, message)
    client.writer.message(MESSAGE, 1, {"message": "commit"})
    (answer,) = client.end()
    assert answer[0] == ERROR
    assert answer[2]["code"] in ("usage", "failed")
    is_sane(home)


def test_a_bill_that_claims_to_be_huge_is_refused_before_it_comes(home: Path) -> None:
    client = RawClient(home)
    client.writer.message(REQUEST, 1, {"verb": "push", "bill_size": 10**12, "bill_digest": "x"})
    assert client.end()[0][2]["code"] == "usage"


values = st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.lists(st.text(max_size=3), max_size=2)
names = st.sampled_from(
    ["app", "release", "to", "path", "args", "env", "keep", "pinned", "stdin", "threads", "bill_size", "timeout_s"]
)
frames = st.tuples(
    st.sampled_from([REQUEST, MESSAGE, DATA, CANCEL, HELLO, REPLY, 99]),
    st.integers(0, 4),
    st.fixed_dictionaries({}, optional={"verb": st.sampled_from(sorted(set(HANDLERS) - {"remove", "rollback", "gc"}))}),
    st.dictionaries(names, values, max_size=4),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(frames, max_size=8), st.binary(max_size=40))
def test_no_sequence_of_frames_harms_the_store_or_hangs_the_agent(
    home: Path, sent: list[tuple[int, int, dict[str, Any], dict[str, Any]]], tail: bytes
) -> None:
    client = RawClient(home)
    for kind, number, verb, members in sent:
        client.writer.message(kind, number, {**members, **verb})
    client.raw(tail)
    for kind, _, answer in client.end():
        assert kind != ERROR or answer["code"] != "agent-failed" or "protocol" in answer["message"], answer
    is_sane(home)
