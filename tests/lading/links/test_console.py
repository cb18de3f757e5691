from __future__ import annotations

import os
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from lading.errors import AuthFailed, ConsoleUnusable, DeviceUnreachable, NoPython, PortInUse
from lading.links.console_host import ConsoleHost
from lading.links.serial_port import SerialPort
from lading_agent.line.endpoint import LineSettings
from tests.support.console import ConsoleDevice, wait_until
from tests.support.programs import need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

PATH = os.pathsep.join([os.path.dirname(sys.executable), "/usr/local/bin", "/usr/bin", "/bin"])  # noqa: PTH120


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., ConsoleDevice]]:
    """Starts devices with a console; ends them."""
    devices: list[ConsoleDevice] = []

    def begin(*line: str, command: Sequence[str] = ("bash", "--norc", "-i"), **env: str) -> ConsoleDevice:
        devices.append(ConsoleDevice(tmp_path / f"home{len(devices)}", *line, command=command, **{"PATH": PATH, **env}))
        return devices[-1]

    yield begin
    for device in devices:
        device.close()


def port_of(device: ConsoleDevice) -> SerialPort:
    return SerialPort(device.line.computer, device.address, baud=115200)


def open_host(device: ConsoleDevice, **more: object) -> ConsoleHost:
    return ConsoleHost(port_of(device), **more)  # type: ignore[arg-type]


def script(path: Path, body: str) -> Sequence[str]:
    """A program that holds the console in place of a shell."""
    path.write_text(f"#!{sys.executable}\n{textwrap.dedent(body)}")
    path.chmod(0o755)
    return [str(path)]


def answers_as_before(device: ConsoleDevice) -> bool:
    """Whether the console has a shell that echoes and edits lines, as a user expects it."""
    port = port_of(device)
    try:
        port.write(b"stty -a; echo all-$((40+2))\n")
        heard = b""
        for _ in range(100):
            heard += port.read(4096, 0.1)
            if b"all-42" in heard:
                break
        words = heard.replace(b";", b" ").split()
        return b"all-42" in heard and b"icanon" in words and b"echo" in words and b"isig" in words and b"opost" in words
    finally:
        port.close()


@pytest.mark.parametrize("shell", ["bash", "dash", "zsh", "busybox"])
def test_commands_run_under_every_shell_and_the_console_is_the_users_again(
    start: Callable[..., ConsoleDevice], shell: str
) -> None:
    words = {"busybox": ["busybox", "ash", "-i"], "bash": ["bash", "-l"]}.get(shell, [shell, "-i"])
    need(words[0])
    device = start(command=words)
    with open_host(device) as host:
        done = host.run("cat; echo to standard error >&2; exit 7", bytes(range(256)) * 50)
        assert done.stdout == bytes(range(256)) * 50
        assert done.stderr == b"to standard error\n"
        assert done.status == 7
        assert host.run("echo again").stdout == b"again\n"
    assert answers_as_before(device)


def test_a_command_that_talks_back_and_forth(start: Callable[..., ConsoleDevice]) -> None:
    with open_host(start()) as host:
        link = host.start("while read line; do echo got $line; done; exit 4")
        link.write(b"one\n")
        assert link.read(100) == b"got one\n"
        with pytest.raises(DeviceUnreachable, match="in use by another command"):
            host.start("true")
        link.write(b"two\n")
        assert link.read(100) == b"got two\n"
        link.close()
        assert link.exit_status() == 4
        assert link.read(100) == b""


def test_a_line_that_loses_and_changes_bytes(start: Callable[..., ConsoleDevice]) -> None:
    data = os.urandom(20_000)
    with open_host(start("--lost", "0.001", "--bit-errors", "1e-5", "--seed", "5")) as host:
        assert host.run("cat", data).stdout == data


def test_kernel_messages_do_no_harm(start: Callable[..., ConsoleDevice]) -> None:
    data = os.urandom(100_000)
    with open_host(start("--kernel-messages", "0.5")) as host:
        assert host.run("cat", data).stdout == data


LOGIN = """
import getpass, os, sys, time
while True:
    name = input("\\nboard login: ")
    if not name.strip():
        continue
    secret = getpass.getpass("Password: ")
    if (name, secret) == ("pi", "raspberry"):
        break
    time.sleep(0.3)
    print("\\nLogin incorrect")
print("Linux board 6.6.31 aarch64\\nLast login: today")
os.spawnvp(os.P_WAIT, "bash", ["bash", "--norc", "-i"])
os.execv(sys.argv[0], sys.argv)
"""


def test_a_login_prompt_gets_user_and_password_and_is_there_again_at_the_end(
    start: Callable[..., ConsoleDevice], tmp_path: Path
) -> None:
    device = start(command=script(tmp_path / "login", LOGIN))
    asked: list[str] = []

    def password(user: str) -> str:
        asked.append(user)
        return "raspberry"

    with open_host(device, user="pi", password=password) as host:
        assert host.run("echo in").stdout == b"in\n"
    assert asked == ["pi"]
    port = port_of(device)
    port.write(b"\n")
    heard = b""
    wait_until(lambda: b"login:" in extended(port, heard), "no login prompt")
    port.close()


def extended(port: SerialPort, _heard: bytes) -> bytes:
    return port.read(4096, 0.2)


@pytest.mark.parametrize(
    ("user", "secret", "words"),
    [
        (None, None, "asks who logs in"),
        ("pi", None, "needs a password"),
        ("pi", "wrong", "does not let pi in"),
        ("nobody", "raspberry", "does not let nobody in"),
    ],
)
def test_a_login_that_fails_says_why_and_never_the_password(
    start: Callable[..., ConsoleDevice], tmp_path: Path, user: str | None, secret: str | None, words: str
) -> None:
    device = start(command=script(tmp_path / "login", LOGIN))
    with pytest.raises(AuthFailed, match=words) as caught:
        open_host(device, user=user, password=lambda _user: secret)
    assert caught.value.exit_status == 3
    told = f"{caught.value.message} {caught.value.remedy} {caught.value.details}"
    assert "wrong" not in told
    assert "raspberry" not in told


def test_boot_messages_are_waited_for(start: Callable[..., ConsoleDevice], tmp_path: Path) -> None:
    booting = script(
        tmp_path / "boot",
        """
        import os, sys, time
        for second in range(12):
            print(f"[    {second}.000000] systemd[1]: Started something {second}.", flush=True)
            time.sleep(0.1)
        os.execvp("bash", ["bash", "--norc", "-i"])
        """,
    )
    with open_host(start(command=booting)) as host:
        assert host.run("echo up").stdout == b"up\n"


@pytest.mark.parametrize("prompt", ["=> ", "U-Boot> ", "barebox@board:/ ", "grub> "])
def test_a_boot_loaders_prompt_is_typed_no_more_than_a_line_end(
    start: Callable[..., ConsoleDevice], tmp_path: Path, prompt: str
) -> None:
    loader = f"""
        import os, tty
        tty.setraw(0)
        os.write(1, b"U-Boot 2024.01\\r\\n" + {prompt.encode()!r})
        while True:
            typed = os.read(0, 100)
            open({str(tmp_path / "typed")!r}, "ab").write(typed)
            os.write(1, typed.replace(b"\\n", b"\\r\\n") + {prompt.encode()!r})
        """
    device = start(command=script(tmp_path / "loader", loader))
    port = port_of(device)
    wait_until(lambda: port.read(4096, 0.2), "no loader")
    port.close()
    with pytest.raises(ConsoleUnusable, match="boot loader"):
        open_host(device)
    typed = tmp_path / "typed"
    assert not typed.exists() or not typed.read_bytes().strip()


class Countdown:
    """The port of a board that counts down to its boot; whatever is typed would stop it."""

    description = "serial:///dev/ttyUSB0"
    baud = 115200

    def __init__(self) -> None:
        self.typed = b""

    def close(self) -> None:
        pass

    def read(self, limit: int, timeout_s: float) -> bytes:
        return b"\rHit any key to stop autoboot:  3 "[:limit]

    def write(self, data: bytes) -> None:
        self.typed += data


def test_a_countdown_to_the_boot_is_not_stopped() -> None:
    port = Countdown()
    with pytest.raises(ConsoleUnusable, match="boot loader"):
        ConsoleHost(port)  # type: ignore[arg-type]
    assert port.typed == b""


def test_a_line_where_nobody_answers_is_told_from_one_with_garbage(
    start: Callable[..., ConsoleDevice], tmp_path: Path
) -> None:
    silent = start(command=script(tmp_path / "silent", "import tty, time\ntty.setraw(0)\ntime.sleep(100)"))
    with pytest.raises(ConsoleUnusable, match="nothing answers") as caught:
        open_host(silent)
    assert "RX and TX" in caught.value.remedy
    noisy = start("--bursts", "1.0")
    with pytest.raises(ConsoleUnusable, match="only garbage"):
        open_host(noisy)


def test_another_program_at_the_console_is_named_and_not_typed_into(
    start: Callable[..., ConsoleDevice], tmp_path: Path
) -> None:
    device = start(command=[sys.executable, "-q", "-i", "-c", ""])
    with pytest.raises(ConsoleUnusable, match=">>>"):
        open_host(device)


def test_a_pager_is_left(start: Callable[..., ConsoleDevice], tmp_path: Path) -> None:
    pager = script(
        tmp_path / "pager",
        """
        import os, sys, termios, tty
        before = termios.tcgetattr(0)
        tty.setraw(0)
        os.write(1, b"many lines\\r\\n--More--")
        while os.read(0, 1) != b"q":
            os.write(1, b"another line\\r\\n--More--")
        termios.tcsetattr(0, termios.TCSANOW, before)
        os.execvp("bash", ["bash", "--norc", "-i"])
        """,
    )
    with open_host(start(command=pager)) as host:
        assert host.run("echo out").stdout == b"out\n"


def test_a_line_that_a_killed_client_left_raw_is_taken_back(start: Callable[..., ConsoleDevice]) -> None:
    device = start()
    first = open_host(device)
    first.run("true")
    first._stream.close()  # type: ignore[union-attr]  # as if the process had died: nothing is said to the device
    first._port.close()
    with open_host(device) as second:
        assert second.run("echo mine").stdout == b"mine\n"
    assert answers_as_before(device)


def test_a_tty_that_was_left_raw_under_a_shell_is_made_sane(start: Callable[..., ConsoleDevice]) -> None:
    device = start(command=["dash", "-i"])
    port = port_of(device)
    port.write(b"stty raw -echo\n")
    port.read(4096, 0.5)
    port.close()
    with open_host(device) as host:
        assert host.run("echo sane").stdout == b"sane\n"
    assert answers_as_before(device)


def test_a_client_that_vanishes_ends_its_command_and_the_console_comes_back(
    start: Callable[..., ConsoleDevice], tmp_path: Path
) -> None:
    device = start()
    host = open_host(device, settings=LineSettings(dead_after_s=1.0))
    link = host.start(f"echo $$ > {tmp_path}/pid; exec cat")
    wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip(), "not started")
    pid = int((tmp_path / "pid").read_text())
    assert link.read is not None
    host._stream.close()  # type: ignore[union-attr]
    host._port.close()
    with open_host(device) as again:
        assert again.run(f"kill -0 {pid} 2>/dev/null && echo alive || echo gone").stdout == b"gone\n"


def test_a_device_without_python_is_told(start: Callable[..., ConsoleDevice], tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("stty", "sh", "cat"):
        (tools / name).symlink_to(need(name))
    device = start(command=[need("bash"), "--norc", "-i"], PATH=str(tools))
    with pytest.raises(NoPython, match="no Python"):
        open_host(device)
    assert answers_as_before(device)


def test_a_port_in_use_names_who_holds_it(start: Callable[..., ConsoleDevice]) -> None:
    device = start()
    with open_host(device), pytest.raises(PortInUse, match="is in use"):
        port_of(device)


def test_a_higher_speed_is_agreed_and_the_consoles_own_comes_back(start: Callable[..., ConsoleDevice]) -> None:
    device = start("--follow-speed", command=["sh", "-c", "stty 115200; exec bash --norc -i"])
    data = os.urandom(60_000)
    with open_host(device, speed=921600) as host:
        assert host.bytes_per_second == 92160
        assert host.run("cat", data).stdout == data
        assert b"921600" in host.run("stty speed <$(readlink /proc/$PPID/fd/0)").stdout
    port = port_of(device)
    heard = bytearray()

    def told() -> bool:
        port.write(b"stty speed\n")
        heard.extend(port.read(4096, 0.5))
        return b"115200" in heard

    wait_until(told, "the old speed is not back")
    port.close()


def test_a_speed_that_the_line_does_not_bear_is_given_up(start: Callable[..., ConsoleDevice]) -> None:
    told: list[str] = []
    device = start("--follow-speed", "--fastest", "230400", command=["sh", "-c", "stty 115200; exec bash --norc -i"])
    with open_host(device, speed=921600, said=told.append) as host:
        assert host.bytes_per_second == 11520
        assert host.run("echo slow").stdout == b"slow\n"
    assert told == ["nothing comes through at 921600 baud: back to 115200"]
