"""QMP against servers that do as QEMU does, and against others."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from lading.boards.qmp import Qmp, QmpGone, QmpRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

GREETING = b'{"QMP": {"version": {"qemu": {"major": 7}}, "capabilities": []}}\n'


@contextlib.contextmanager
def serving(path: Path, play: Callable[[socket.socket], None]) -> Iterator[Path]:
    """A server for one client."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as server, contextlib.chdir(path.parent):
        server.bind(path.name)
        server.listen(1)

        def serve() -> None:
            client, _ = server.accept()
            with client, contextlib.suppress(OSError):
                play(client)

        thread = threading.Thread(target=serve)
        thread.start()
        yield path
        thread.join(30)
        assert not thread.is_alive()


def polite(answers: dict[str, list[Any]]) -> Callable[[socket.socket], None]:
    """Greets, and answers each command with the messages that are there for it."""

    def play(client: socket.socket) -> None:
        client.sendall(GREETING)
        with client.makefile("rb") as lines:
            for line in lines:
                command = json.loads(line)["execute"]
                for message in [{"return": {}}] if command == "qmp_capabilities" else answers[command]:
                    client.sendall(json.dumps(message).encode() + b"\r\n")

    return play


def test_a_command_is_answered_past_events(tmp_path: Path) -> None:
    event = {"event": "RESET", "data": {}, "timestamp": {"seconds": 1, "microseconds": 2}}
    answers = {"query-status": [event, event, {"return": {"status": "running"}}]}
    with serving(tmp_path / "qmp", polite(answers)) as path, Qmp(path) as qmp:
        assert qmp.ask("query-status") == {"status": "running"}
        assert qmp.ask("query-status", timeout_s=5) == {"status": "running"}


def test_a_refusal_says_what_was_refused_and_why(tmp_path: Path) -> None:
    answers: dict[str, list[Any]] = {
        "device_add": [{"error": {"class": "GenericError", "desc": "no such bus"}}],
        "stop": [{"return": {}}],
    }
    with serving(tmp_path / "qmp", polite(answers)) as path, Qmp(path) as qmp:
        with pytest.raises(QmpRefused, match=r"device_add.*no such bus"):
            qmp.ask("device_add", driver="x")
        assert qmp.ask("stop") == {}, "a refusal is not the end"


def test_the_human_monitor_says_nothing_when_all_is_well(tmp_path: Path) -> None:
    with serving(tmp_path / "qmp", polite({"human-monitor-command": [{"return": "\r\n"}]})) as path, Qmp(path) as qmp:
        assert qmp.monitor("savevm x") == ""


def test_a_folder_with_a_name_longer_than_a_sockets_may_be(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a-folder-with-a-long-name"] * 8)
    with serving(deep / "qmp", polite({"stop": [{"return": {}}]})) as path, Qmp(path) as qmp:
        assert len(str(path)) > 108
        assert qmp.ask("stop") == {}


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(QmpGone):
        Qmp(tmp_path / "qmp")
    (tmp_path / "qmp").write_text("no socket")
    with pytest.raises(QmpGone):
        Qmp(tmp_path / "qmp")


@pytest.mark.parametrize(
    "said",
    [b"", b"SSH-2.0-OpenSSH\r\n", b"[]\n", b'{"QMP": ', b"\xff\xfe\n", b"null\n", GREETING, GREETING + b"{}"],
    ids=str,
)
def test_somebody_else_there_or_a_machine_that_goes(tmp_path: Path, said: bytes) -> None:
    def play(client: socket.socket) -> None:
        client.sendall(said)
        client.shutdown(socket.SHUT_WR)
        client.recv(1000)

    with serving(tmp_path / "qmp", play) as path, pytest.raises(QmpGone) as caught:
        Qmp(path)
    assert caught.value.remedy


def test_a_machine_that_never_answers(tmp_path: Path) -> None:
    def play(client: socket.socket) -> None:
        client.sendall(GREETING)
        while client.recv(1000):
            pass

    with serving(tmp_path / "qmp", play) as path, pytest.raises(QmpGone, match="qmp_capabilities"):
        Qmp(path, timeout_s=0.2)
