"""Agents that greet well and then lie: the client ends with an error of lading's, whatever they say."""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

from lading.client import Session
from lading.client.connection import Connection
from lading.errors import DeviceUnreachable, LadingError, LinkLost, TimedOut
from lading_agent.wire.frames import ERROR, HELLO, MAGIC, MESSAGE, REPLY, REQUEST, FrameReader, header
from tests.support.cargo import cargo

if TYPE_CHECKING:
    from collections.abc import Callable

FEATURES = ["push", "run", "stdin", "fetch", "pins", "describe", "detach", "service", "confirm", "runtimes"]
GREETING = {
    "schema": 1,
    "role": "agent",
    "version": "0.1.0",
    "protocol": {"major": 1, "minor": 0},
    "features": FEATURES,
    "limits": {"frame": 1 << 20, "stdin": 1 << 18},
    "python": "3",
    "machine": "x",
    "target": {"id": "t"},
    "profile": {"id": "p"},
}


def frame(kind: int, payload: Any, request: int = 1) -> bytes:
    """A frame with JSON, or with the bytes as they are."""
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return header(kind, request, len(data)) + data


GREETED = MAGIC + frame(HELLO, GREETING, 0)


class Liar:
    """A link to somebody who answers the first request with ``said``, again and again if need be.

    Args:
        said: the answer; None: he does not get as far as a request.
        times: how often it is said.
        greeting: what he says first.
        stays: he goes on listening then, and says nothing more.
    """

    description = "liar://"

    def __init__(self, said: bytes | None, times: int = 1, *, greeting: bytes = GREETED, stays: bool = False) -> None:
        self._greeting = greeting
        self._stays = stays
        self._from_client, self._to_agent = os.pipe()
        self._from_agent, self._to_client = os.pipe()
        self._thread = threading.Thread(target=self._lie, args=(said, times), daemon=True)
        self._thread.start()

    def _lie(self, said: bytes | None, times: int) -> None:
        try:
            os.write(self._to_client, self._greeting)
            if said is not None:
                self._answer(said, times)
            while self._stays and os.read(self._from_client, 65536):
                pass
        except OSError:
            pass
        finally:
            os.close(self._to_client)
            os.close(self._from_client)

    def _answer(self, said: bytes, times: int) -> None:
        reader = FrameReader(lambda limit: os.read(self._from_client, limit), 1 << 20)
        reader.skip_to_magic()
        while (heard := reader.next()) is not None and heard.kind != REQUEST:
            pass
        for _ in range(times):
            view = memoryview(said)
            while view:
                view = view[os.write(self._to_client, view) :]

    def read(self, limit: int) -> bytes:
        return os.read(self._from_agent, limit)

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._to_agent, view) :]

    def complaint(self) -> str:
        return ""

    def close(self) -> None:
        os.close(self._to_agent)
        self._thread.join(10)
        os.close(self._from_agent)


REQUESTS: dict[str, Callable[[Session], object]] = {
    "push": lambda session: session.push(cargo()),
    "run": lambda session: session.run("echo"),
    "stdin": lambda session: session.run("echo", stdin=b"x"),
    "logs": lambda session: session.logs("echo", on_event=lambda _: None),
    "fetch": lambda session: session.fetch("echo", "x", lambda _: None),
    "probe": lambda session: session.probe([b"x"]),
    "runtimes": lambda session: session.runtimes(),
    "status": lambda session: session.status(),
}
NUMBERS: tuple[Any, ...] = (None, "x", [], {}, -1, float("inf"), float("nan"), 10**400)
LIES = {
    "not-json": [frame(kind, b"\xff", request) for kind in (REPLY, ERROR) for request in (1, 0)],
    "a-list": [frame(kind, [], request) for kind in (REPLY, ERROR) for request in (1, 0)],
    "deep": [frame(REPLY, b"[" * 100_000)],
    "half": [frame(REPLY, {"a": 1})[:-1]],
    "huge": [header(REPLY, 1, 2**32 - 1)],
    "odd-refusal": [frame(ERROR, {"code": [], "message": {}, "remedy": 5, "details": [1]})],
}


@pytest.mark.parametrize("said", LIES.values(), ids=LIES.keys())
@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS.keys())
def test_what_cannot_be_read_is_an_error_with_a_name(request_: Callable[[Session], object], said: list[bytes]) -> None:
    for lie in said:
        with pytest.raises(LadingError), Session(Liar(lie, 2)) as session:
            request_(session)


@pytest.mark.parametrize(
    ("which", "kind", "doc"),
    [
        *(("push", MESSAGE, {"event": "need", "blobs": [[value, 0]]}) for value in (*NUMBERS, 10**6)),
        *(("push", MESSAGE, {"event": "need", "blobs": [[0, value]]}) for value in (*NUMBERS, 10**6)),
        *(("push", MESSAGE, {"event": "need", "blobs": value}) for value in (5, "x", {"a": 1}, [5], [[0]])),
        *(("push", REPLY, {key: 5}) for key in ("golden", "smoke", "code", "timings")),
        *(("push", REPLY, {"sent_blobs": value}) for value in NUMBERS),
        *(("run", REPLY, {"status": value}) for value in NUMBERS),
        *(("run", MESSAGE, {"event": "tensor", "bytes": value}) for value in (*NUMBERS, 2**40)),
        *(("run", MESSAGE, {"event": "tensor", "shape": value}) for value in (5, ["x"], [-1])),
        *(("stdin", MESSAGE, {"event": "stdin-credit", "bytes": value}) for value in NUMBERS),
        *(("logs", MESSAGE, {"event": "lost", "bytes": value}) for value in NUMBERS),
        *(("fetch", MESSAGE, {"event": "size", "bytes": value}) for value in NUMBERS),
        *(("runtimes", REPLY, {"runtimes": value}) for value in (5, "x", True, {"a": 1})),
    ],
)
def test_wrong_members_are_an_error_with_a_name(which: str, kind: int, doc: dict[str, Any]) -> None:
    with pytest.raises(LadingError), Session(Liar(frame(kind, doc))) as session:
        REQUESTS[which](session)


@pytest.mark.parametrize("said", [b"", b"Welcome!\n", MAGIC, GREETED[:-1]], ids=["mute", "banner", "magic", "half"])
def test_whoever_falls_silent_before_his_hello_is_given_up(said: bytes) -> None:
    link = Liar(None, greeting=said, stays=True)
    with pytest.raises(TimedOut, match="silent for"):
        Connection(link, first_word_s=0.5)
    link.close()


@pytest.mark.parametrize("cut", [5, 12, 20])
def test_whoever_falls_silent_in_the_middle_of_an_answer_is_given_up(cut: int) -> None:
    connection = Connection(Liar(frame(REPLY, {"apps": {}, "disk": {}})[:cut], stays=True), pause_s=0.5)
    with pytest.raises(LinkLost, match="in the middle of an answer"):
        connection.ask("status")
    connection.close()


def test_an_agent_may_work_for_long_between_two_answers() -> None:
    said = threading.Event()

    class Slow(Liar):
        def read(self, limit: int) -> bytes:
            data = super().read(limit)
            if frame(REPLY, {"pong": 1}) in data:
                said.wait(30)
            return data

    connection = Connection(Slow(frame(REPLY, {"pong": 1})), pause_s=0.02)
    timer = threading.Timer(0.5, said.set)
    timer.start()
    assert connection.ask("ping") == {"pong": 1}
    connection.close()


def test_an_agent_that_is_gone_before_its_hello_is_told_from_a_silent_one() -> None:
    with pytest.raises(DeviceUnreachable, match="ended before the agent protocol began"):
        Session(Liar(None, greeting=b"no\n"))
