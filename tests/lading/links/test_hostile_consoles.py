"""What talks on a line may be anything: broken, another baud rate, or meant to do harm."""

from __future__ import annotations

import random
import re
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lading.errors import AuthFailed, ConsoleUnusable, LadingError, LinkLost
from lading.links import console as console_module
from lading.links import console_host, prompts, stage_text
from lading.links.console import Console
from lading.links.console_host import ConsoleHost
from lading_agent.line import stage
from lading_agent.line.endpoint import Endpoint, LineSettings
from tests.support.scripted_port import ScriptedPort, SimulatedPort

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_S = 400.0
"""Seconds, of the line's time, within which every landing has ended."""
SECRET = "correct horse battery"

FLOODS = {
    "text": b"all work and no play makes jack a dull boy\r\n" * 20,
    "login prompts": b"\r\nboard login: " * 60,
    "password prompts": b"\r\nPassword: " * 60,
    "password prompts in one line": b"password for " * 80,
    "shell prompts": b"\r\npi@board:~$ " * 60,
    "pagers": b"--More--" * 100,
    "pagers with blanks": b"--More--" + b" " * 900 + b"\nx",
    "boot loaders that go on": b"barebox# : # : # " * 50 + b"x",
    "one line": b"A" * 1000,
    "NUL": bytes(1000),
    "invalid UTF-8": b"\xff\xfe\xc3\x28" * 250,
    "escape sequences": b"\x1b]0;owned\x07\x1b[2J\x1b[31m" * 40,
    "escape sequences without an end": b"\x1b]" * 500,
    "answers": b"LADING-UP LADING-READY +99999; LADING-WHOLE\r\n" * 20,
    "noise": random.Random(1).randbytes(1000),
}


def land(port: SimulatedPort, user: str | None = "pi", secret: str | None = SECRET) -> Console:
    console = Console(port, "serial:///dev/ttyUSB0", port.clock)
    console.land(user, lambda _user: secret)
    return console


def well_said(error: LadingError) -> bool:
    """Whether an error can be shown: one of ours, that a terminal does not obey, without the password."""
    told = f"{error.message}{error.remedy}{error.details}"
    return error.exit_status in (1, 3) and told.isprintable() and SECRET not in told and len(told) < 1000


@pytest.mark.parametrize("kind", FLOODS)
def test_a_line_that_never_is_quiet_ends_in_a_named_error(kind: str) -> None:
    port = SimulatedPort(lambda _typed: b"", flood=FLOODS[kind])
    with pytest.raises((ConsoleUnusable, AuthFailed)) as caught:
        land(port)
    assert well_said(caught.value)
    assert port.now < MOST_S


@pytest.mark.parametrize("kind", FLOODS)
def test_a_shell_on_a_line_that_says_much_else_is_found(kind: str) -> None:
    before = FLOODS[kind]

    def shell(typed: bytes) -> bytes:
        return typed.replace(b"\n", b"\r\n") + (b"LADING-42\r\n$ " if b"6*7" in typed else before + b"\r\n$ ")

    port = SimulatedPort(shell)
    land(port, user=None)
    assert port.now < 30.0


@pytest.mark.parametrize("after", [0, 1, 20, 60, 100, 200])
def test_a_line_that_hangs_up_while_somebody_logs_in_is_told(after: int) -> None:
    port = SimulatedPort(board_with_login(b"$ "), hangs_up_after=after)
    with pytest.raises(LinkLost, match="the line is gone: Input/output error"):
        land_again_and_again(port)


def land_again_and_again(port: SimulatedPort) -> None:
    while True:
        land(port)


def board_with_login(prompt: bytes, echoes: bool = False) -> Callable[[bytes], bytes]:
    state = ["login"]

    def answer(typed: bytes) -> bytes:
        if state[0] == "login":
            if typed.strip(b"\n\x11\x15"):
                state[0] = "password"
                return typed + b"\r\nPassword: "
            return b"\r\nboard login: "
        if state[0] == "password":
            state[0] = "in"
            return (typed if echoes else b"") + b"\r\n" + prompt
        return typed + (b"LADING-42\r\n" if prompt == b"$ " and b"6*7" in typed else b"") + prompt

    return answer


def test_a_password_that_a_device_repeats_is_in_no_message() -> None:
    for prompt in (SECRET.encode() + b" is wrong ", b"\x1b[31m" + SECRET.encode() + b"> "):
        port = SimulatedPort(board_with_login(prompt, echoes=True))
        with pytest.raises(ConsoleUnusable, match="it shows") as caught:
            land(port)
        assert well_said(caught.value)
        assert "***" in caught.value.message


def test_a_prompt_is_shown_without_what_a_terminal_would_obey() -> None:
    assert prompts.last_line(b"first\r\n\x1b]0;title\x07\x1b[31m\x9b5m=> \x08\x00\xff\r\n\r\n") == "?5m=> ???"
    assert prompts.last_line("⇒ \u202egnp.exe".encode()) == "⇒ ?gnp.exe"
    assert len(prompts.last_line(b"x" * 100_000)) == prompts.SHOWN


WORDS = (
    *(b"login: ", b"Password: ", b"$ ", b"# ", b"> ", b"=> ", b">>> ", b"\r\n", b"\n", b"--More--", b"(END)", b"\n:"),
    *(b"LADING-42", b"Login incorrect", b"barebox@", b"Hit any key to stop autoboot: 3", b"\x1b[31m", b"\x1b]0;"),
    *(b"\0", b"password for ", b" " * 300, b"lines 1-2", b"echo LADING-$((6*7))"),
)
FRAGMENTS = st.sampled_from(WORDS) | st.binary(max_size=40)


@settings(deadline=None)
@given(st.lists(st.lists(FRAGMENTS, max_size=12).map(b"".join), max_size=30), st.booleans())
def test_no_words_of_a_device_crash_or_hang_the_landing(answers: list[bytes], echoes: bool) -> None:
    left = list(answers)

    def answer(typed: bytes) -> bytes:
        return (typed if echoes else b"") + (left.pop(0) if left else b"")

    port = SimulatedPort(answer)
    failure: LadingError | None = None
    try:
        land(port).give_back()
    except LadingError as error:
        failure = error
    assert port.now < MOST_S
    assert b"6*7" in port.typed if failure is None else well_said(failure)


@settings(deadline=None, max_examples=300)
@given(st.lists(FRAGMENTS, max_size=40).map(b"".join))
def test_what_is_recognised_depends_on_the_end_of_the_text_alone(heard: bytes) -> None:
    for known in (prompts.is_login, prompts.is_password, prompts.is_boot_loader, prompts.is_pager, prompts.is_busy):
        assert known(b"x" * 5000 + b"\r\n" + heard) == known(b"y" * 9000 + b"\r\n" + heard)
    assert prompts.last_line(heard).isprintable()


# -- the first stage and the line -------------------------------------------------------------------------------------


class Imitation:
    """A device that says what a shell and a first stage would say, without being either."""

    def __init__(self, **says: bytes) -> None:
        self.says = {"up": b"LADING-UP\r\n", "line": b"+%d;", "whole": b"LADING-WHOLE\r\nLADING-READY\r\n", **says}
        self.lines = 0
        self.state = "shell"

    def __call__(self, typed: bytes) -> bytes:
        if b"6*7" in typed:
            return b"LADING-42\r\n$ "
        if b"for p in" in typed:
            self.state, self.lines = "python", 0
            return self.says["up"]
        if typed.startswith(b"exec("):
            return b""
        if self.state == "python" and re.match(rb"\d+ [0-9a-f]+ ", typed):
            self.lines += 1
            said = self.says["line"]
            last = self.says["whole"] if self.lines >= len(stage_text.lines()) or b"9999" in said else b""
            return (said % self.lines if b"%d" in said else said) + last
        return b"$ "


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits that a test need not."""
    for name, seconds in (
        ("OPEN_S", 1.0),
        ("START_S", 0.5),
        ("TYPE_S", 3.0),
        ("END_S", 2.0),
        ("LINE_S", 0.1),
        ("STAGE_S", 1.0),
        ("SPARE_S", 2.0),
    ):
        monkeypatch.setattr(console_host, name, seconds)
    monkeypatch.setattr(console_module, "ANSWER_S", 0.3)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "says",
    [
        {},
        {"line": b"+99999999999999999999;"},
        {"line": b"+0;"},
        {"line": b"+-1;"},
        {"line": b""},
        {"whole": b"LADING-SPOILT\r\n"},
        {"whole": b"LADING-WHOLE\r\n"},
        {"whole": b"SyntaxError\r\n"},
        {"whole": b"LADING-READY\r\n\x1b]0;owned\x07\x1b[31m\xff\xff\0"},
        {"up": b"LADING-UPLADING-NOPY"},
        {"up": b""},
        {"up": b"\0" * 100_000},
    ],
    ids=[
        "all",
        "beyond",
        "none",
        "below none",
        "silent",
        "spoilt",
        "no start",
        "error",
        "escapes",
        "no python",
        "no start of python",
        "NULs",
    ],
)
def test_whatever_imitates_the_first_stage_ends_in_a_named_error(says: dict[str, bytes]) -> None:
    port = ScriptedPort(Imitation(**says))
    with pytest.raises(LadingError) as caught:
        ConsoleHost(port)  # type: ignore[arg-type]
    assert well_said(caught.value)
    assert isinstance(caught.value, ConsoleUnusable | LinkLost)
    assert port.closed


class LineDevice:
    """A device with a line layer of its own, that says what a test wants on it."""

    def __init__(self, say: Callable[[Endpoint], None], *, deflate: bool = True) -> None:
        self.now = 0.0
        self.imitation = Imitation()
        self.end: Endpoint | None = None
        self.say = say
        self.deflate = deflate

    def answer(self, typed: bytes) -> bytes:
        if self.end is None and not typed.startswith(b"\xd4\x4c"):
            return self.imitation(typed)
        if self.end is None:
            self.end = Endpoint(opens=False, settings=LineSettings(deflate=self.deflate), now=0.0)
        self.end.feed(typed, self.now)
        return self.more()

    def more(self) -> bytes:
        if self.end is None:
            return b""
        self.now += 0.001
        if self.end.is_open:
            self.say(self.end)
        out = b""
        while len(out) < 4096 and (said := self.end.next_output(self.now)):
            out += said
        return out


def open_at(device: LineDevice) -> tuple[ConsoleHost, ScriptedPort]:
    port = ScriptedPort(device.answer, more=device.more)
    return ConsoleHost(port), port  # type: ignore[arg-type]


@pytest.mark.usefixtures("impatient")
def test_output_that_never_ends_is_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_host, "MOST_OUTPUT", 1_000_000)
    packer = zlib.compressobj(9)

    def flood(end: Endpoint) -> None:
        if end.sender.queued < 4096:
            data = b"".join(stage.chunk(stage.OUTPUT, bytes(stage.MOST_CHUNK)) for _ in range(8))
            end.sender.write(packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH))

    host, port = open_at(LineDevice(flood))
    with pytest.raises(LinkLost, match="wrote more than 1000000 bytes"):
        host.run("cat /etc/os-release")
    host.close()
    assert port.closed


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "said",
    [
        stage.HEAD.pack(stage.OUTPUT, 1 << 31),
        stage.chunk(99, b"what"),
        stage.chunk(stage.EXIT, b"\xff\xff"),
        stage.chunk(stage.EXIT, b"[" * 30_000),
        stage.chunk(stage.EXIT, b'{"status": 1e999}'),
        stage.chunk(stage.EXIT, b'{"status": "0"}'),
        b"\xff" * 5000,
    ],
    ids=["too long", "unknown", "no text", "deep", "infinite", "no number", "garbage"],
)
def test_a_device_that_breaks_the_stages_rules_is_no_success(said: bytes) -> None:
    once: list[bytes] = [said]

    def misbehave(end: Endpoint) -> None:
        if once:
            end.sender.write(once.pop())
            end.sender.finish()

    host, port = open_at(LineDevice(misbehave, deflate=False))
    failure: LadingError | None = None
    status = 255
    try:
        status = host.run("true", timeout_s=5.0).status
    except LinkLost as error:
        failure = error
    host.close()
    assert status == 255
    assert failure is None or well_said(failure)
    assert port.closed


@pytest.mark.usefixtures("impatient")
def test_a_stream_that_cannot_be_inflated_is_a_lost_line() -> None:
    host, _ = open_at(LineDevice(lambda end: end.sender.write(b"no zlib") if not end.sender.queued else None))
    with pytest.raises(LinkLost, match="cannot be inflated"):
        host.run("true", timeout_s=5.0)
    host.close()


@pytest.mark.parametrize(
    ("heard", "asks"),
    [
        (b"Debian GNU/Linux 12 board ttyAMA0\r\n\r\nboard login: ", True),
        (b"\r\nlogin: ", True),
        (b"\r\nLast login: ", False),
        (b"\r\nLast failed login: ", False),
        (b"\r\nLast login: Mon Nov 23 04:15:46 UTC 2026 on ttyAMA0\r\nboard login: ", True),
    ],
)
def test_who_logged_in_last_is_no_question_who_logs_in(heard: bytes, asks: bool) -> None:
    assert prompts.is_login(heard) is asks
