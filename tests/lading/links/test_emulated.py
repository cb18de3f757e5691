from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from lading.client import Session, connect
from lading.devices import resolve
from lading.errors import DeviceUnreachable, LadingError, LinkLost, VersionMismatch
from lading.links.emulated import open_emulated
from lading_agent import PROTOCOL
from lading_agent.wire import hello, messages
from lading_agent.wire.frames import HELLO, MAGIC, header
from lading_agent.wire.hello import Hello
from tests.support.local_agent import PROFILE, TARGET

if TYPE_CHECKING:
    from pathlib import Path


def start(home: Path, command: list[str] | None = None) -> Session:
    return Session(open_emulated(home, TARGET, PROFILE, "emulated://test-board", command))


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_an_emulated_device_says_what_it_is(tmp_path: Path) -> None:
    with connect(resolve(f"emulated://raspberry-pi-4b?state={tmp_path}/s")) as agent:
        assert agent.hello.target["id"] == "raspberry-pi-4b"
        assert agent.hello.profile["id"] == "lading-litert"
        assert agent.hello.protocol[0] == PROTOCOL
        whole = agent.describe()
        assert whole["target"]["run_memory_bytes"] == agent.hello.target["run_memory_bytes"]
    (device,) = (tmp_path / "s").rglob("device.json")
    assert json.loads(device.read_bytes())["profile"]["id"] == "lading-litert"


def test_a_state_folder_that_is_a_file_is_unreachable_with_the_cause(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for home in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(DeviceUnreachable, match="cannot be used") as caught:
            start(home)
        assert caught.value.exit_status == 3
        assert "state=" in caught.value.remedy


def test_a_store_that_cannot_be_made_is_unreachable_with_the_cause(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "blobs").write_text("a file where a folder belongs")
    with start(tmp_path / "home") as agent, pytest.raises(DeviceUnreachable, match="cannot be used"):
        agent.status()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import sys; sys.exit('python: no module named lading_agent')", "no module named lading_agent"),
        ("print('Welcome to BusyBox')", "Welcome to BusyBox"),
        ("import sys; sys.stdout.buffer.write(b'\\x89LADING\\r\\n\\x1a\\n' + b'junk' * 10)", "a frame begins with"),
        ("import sys; sys.stdout.buffer.write(b'x' * 1000000)", "no agent protocol"),
    ],
)
def test_whoever_does_not_speak_the_protocol_is_unreachable_and_quoted(tmp_path: Path, code: str, words: str) -> None:
    with pytest.raises(DeviceUnreachable, match=words):
        start(tmp_path / "home", python(code))


def test_a_program_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(DeviceUnreachable, match="cannot be started"):
        start(tmp_path / "home", [str(tmp_path / "nothing")])


def greeting(said: dict[str, object]) -> bytes:
    payload = messages.encode(said)
    return MAGIC + header(HELLO, 0, len(payload)) + payload


def test_a_banner_before_the_protocol_does_no_harm(tmp_path: Path) -> None:
    banner = "import os, sys; os.write(1, b'\\x1b[2J*** authorised use only ***\\r\\n')"
    serve = "from lading_agent.__main__ import main; sys.exit(main())"
    with start(tmp_path / "home", python(f"{banner}; {serve}")) as agent:
        agent.ping()


@pytest.mark.parametrize(("major", "remedy"), [(PROTOCOL + 1, "update lading"), (PROTOCOL - 1, "update the agent")])
def test_another_major_version_says_which_side_to_update(tmp_path: Path, major: int, remedy: str) -> None:
    said = {**Hello(role="agent").to_json(), "protocol": {"major": major, "minor": 0}}
    code = f"import sys; sys.stdout.buffer.write({greeting(said)!r})"
    with pytest.raises(VersionMismatch) as caught:
        start(tmp_path / "home", python(code))
    assert remedy in caught.value.remedy


def test_an_agent_refuses_a_client_of_another_major_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Newer(Hello):
        def to_json(self) -> dict[str, object]:
            return {**super().to_json(), "protocol": {"major": PROTOCOL + 1, "minor": 0}}

    monkeypatch.setattr(hello, "Hello", Newer)
    monkeypatch.setattr(hello, "parse", lambda *_, **__: Hello(role="agent"))
    with start(tmp_path / "home") as agent, pytest.raises(VersionMismatch) as caught:
        agent.ping()
    assert "update the agent" in caught.value.remedy


def test_an_agent_that_dies_is_a_lost_link_with_its_last_words(tmp_path: Path) -> None:
    code = (
        f"import os, sys; os.write(1, {greeting(Hello(role='agent').to_json())!r}); sys.stdin.buffer.read(20); "
        "sys.exit('Segmentation fault')"
    )
    with start(tmp_path / "home", python(code)) as agent:
        with pytest.raises(LinkLost, match="Segmentation fault") as caught:
            agent.ping()
        assert caught.value.exit_status == 3
        with pytest.raises(LadingError):
            agent.ping()
