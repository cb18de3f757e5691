"""What is written where a system looks when it starts, and taken away again; with programs that record their calls."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading_agent.errors import AgentError
from lading_agent.keep import boot, boot_files
from tests.support.programs import need

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

UNIT = """\
# Written by lading for /home/pi/my 100%% home; `lading service disable` takes it away.
[Unit]
Description=lading: digits
After=network.target

[Service]
Type=exec
ExecStart=/usr/bin/python3 "/home/pi/my 100%% home/agent/current" service --home "/home/pi/my 100%% home" --app digits
WorkingDirectory=/
Restart=on-failure
RestartSec=5
TimeoutStopSec=15

[Install]
WantedBy=default.target
"""
HOME = "/home/pi/my 100% home"
COMMAND = ["/usr/bin/python3", f"{HOME}/agent/current", "service", "--home", HOME, "--app", "digits"]


def test_a_unit_as_systemd_reads_it() -> None:
    assert boot_files.unit("lading: digits", COMMAND, HOME) == UNIT


def test_a_crontab_line_as_cron_reads_it() -> None:
    assert boot_files.crontab_line(COMMAND, "lading-digits:0123") == (
        "@reboot /usr/bin/python3 '/home/pi/my 100\\% home/agent/current' service --home '/home/pi/my 100\\% home'"
        " --app digits >/dev/null 2>&1 # lading:lading-digits:0123"
    )


@pytest.mark.parametrize("word", ["a b", 'quo"te', "back\\slash", "$HOME", "%h", "ä", "semi;colon", "'", "new\nline"])
def test_systemd_finds_no_fault_with_any_path(tmp_path: Path, word: str) -> None:
    analyze = need("systemd-analyze", in_ci=False)
    unit = tmp_path / "lading-digits.service"
    unit.write_text(boot_files.unit("lading: digits", ["/bin/sh", word, "service"], f"/home/{word}"))
    done = subprocess.run([analyze, "verify", "--user", unit], capture_output=True, text=True)
    complaints = [line for line in done.stderr.splitlines() if unit.name in line]
    assert not complaints, done.stderr


def test_our_line_comes_once_and_goes_and_others_stay(tmp_path: Path) -> None:
    others = "MAILTO=me\n# lading: is nice\n5 4 * * * backup # lading:lading-digits:other\n@reboot x"
    line = boot_files.crontab_line(COMMAND, "lading-digits:0123")
    once = boot_files.with_line(others, "lading-digits:0123", line)
    assert once == f"{others}\n{line}\n"
    assert boot_files.with_line(once, "lading-digits:0123", line) == once
    assert boot_files.without_line(once, "lading-digits:0123") == f"{others}\n"
    assert boot_files.has_line(once, "lading-digits:0123")
    assert not boot_files.has_line(others, "lading-digits:0123")


@given(st.lists(st.text(st.characters(exclude_characters="\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")), max_size=8))
def test_other_lines_are_never_touched(lines: list[str]) -> None:
    others = "".join(f"{line}\n" for line in lines)
    line = boot_files.crontab_line(COMMAND, "lading-digits:0123")
    assert boot_files.without_line(boot_files.with_line(others, "m:1", line), "lading-digits:0123") == others


SYSTEMCTL = """#!/bin/sh
echo "systemctl $*" >> "$LOG"
case "$*" in
*--property=Version*) echo Version=252;;
*"enable --now"*) [ -z "$REFUSE" ] || { echo "Unit is masked" >&2; exit 1; };;
esac
"""
LOGINCTL = """#!/bin/sh
echo "loginctl $*" >> "$LOG"
case "$*" in
show-user*) cat "$LINGER" 2>/dev/null || echo no;;
*enable-linger*) [ -z "$ROOT_ONLY" ] && echo yes > "$LINGER";;
*disable-linger*) rm "$LINGER";;
esac
"""
CRONTAB = """#!/bin/sh
echo "crontab $*" >> "$LOG"
case "$1" in
-l) [ -z "$BROKEN" ] || { echo "you are not allowed to use this program" >&2; exit 1; }
    [ -f "$TABLE" ] || { echo "no crontab for pi" >&2; exit 1; }; cat "$TABLE";;
-) cat > "$TABLE";;
esac
"""


class System:
    """A device's own programs, which say what they were asked."""

    def __init__(self, folder: Path, *programs: str) -> None:
        self.folder = folder
        self.table = folder / "table"
        self.linger = folder / "linger"
        self.log = folder / "log"
        self.home = folder / "lading"
        bin_ = folder / "bin"
        bin_.mkdir()
        texts = {"systemctl": SYSTEMCTL, "loginctl": LOGINCTL, "crontab": CRONTAB}
        for program in programs:
            (bin_ / program).write_text(texts[program])
            (bin_ / program).chmod(0o755)
        for tool in ("sh", "cat", "rm"):
            found = shutil.which(tool)
            assert found
            (bin_ / tool).symlink_to(found)
        self.environment = {
            "PATH": str(bin_),
            "HOME": str(folder / "user"),
            "LOG": str(self.log),
            "TABLE": str(self.table),
            "LINGER": str(self.linger),
        }
        self.unit = folder / "user" / ".config" / "systemd" / "user" / "lading-digits.service"

    def find(self) -> boot.Boot | None:
        return boot.find(self.environment, self.home)[0]

    def calls(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def system(tmp_path: Path) -> Callable[..., System]:
    return lambda *programs: System(tmp_path, *programs)


def test_systemd_comes_first(system: Callable[..., System]) -> None:
    board = system("systemctl", "loginctl", "crontab")
    way = board.find()
    assert isinstance(way, boot.Systemd)
    way.install("lading-digits", "lading: digits", COMMAND, start=True)
    assert way.installed("lading-digits")
    assert "ExecStart=/usr/bin/python3 " in board.unit.read_text()
    assert [call for call in board.calls() if "show" not in call] == [
        "systemctl --user daemon-reload",
        "systemctl --user enable --now lading-digits.service",
    ]
    way.remove("lading-digits")
    assert not way.installed("lading-digits")
    assert list(board.unit.parent.iterdir()) == []
    assert "systemctl --user disable lading-digits.service" in board.calls()
    way.remove("lading-digits")


def test_another_folders_unit_is_not_taken_over(system: Callable[..., System]) -> None:
    board = system("systemctl", "loginctl")
    boot.Systemd(board.environment, board.folder / "other").install("lading-digits", "x", COMMAND, start=False)
    way = board.find()
    assert way is not None
    with pytest.raises(AgentError, match="not of this folder"):
        way.install("lading-digits", "x", COMMAND, start=True)


def test_what_systemd_refuses_is_told(system: Callable[..., System]) -> None:
    board = system("systemctl")
    board.environment["REFUSE"] = "yes"
    way = board.find()
    assert way is not None
    with pytest.raises(AgentError, match="Unit is masked"):
        way.install("lading-digits", "x", COMMAND, start=True)


def test_linger_with_and_without_root(system: Callable[..., System]) -> None:
    board = system("systemctl", "loginctl")
    way = board.find()
    assert isinstance(way, boot.Systemd)
    assert not way.lingers()
    assert way.linger(True)
    assert way.lingers()
    assert way.linger(False)
    board.environment["ROOT_ONLY"] = "yes"
    assert not boot.Systemd(board.environment, board.home).linger(True)
    assert way.linger_remedy().startswith("sudo loginctl enable-linger ")


def test_cron_where_there_is_no_systemd(system: Callable[..., System]) -> None:
    board = system("crontab")
    way = board.find()
    assert isinstance(way, boot.Cron)
    way.install("lading-digits", "x", COMMAND, start=True)
    first = board.table.read_text()
    assert first.startswith("@reboot /usr/bin/python3 ")
    assert way.installed("lading-digits")
    board.table.write_text(f"MAILTO=me\n{first}0 4 * * * backup\n")
    way.install("lading-digits", "x", COMMAND, start=True)
    way.remove("lading-digits")
    assert board.table.read_text() == "MAILTO=me\n0 4 * * * backup\n"
    written = board.calls().count("crontab -")
    way.remove("lading-digits")
    assert board.calls().count("crontab -") == written, "what does not change is not written"


def test_a_crontab_that_cannot_be_read_is_not_replaced(system: Callable[..., System]) -> None:
    board = system("crontab")
    board.table.write_text("precious\n")
    board.environment["BROKEN"] = "yes"
    way, why = boot.find(board.environment, board.home)
    assert way is None
    assert "not allowed" in why
    with pytest.raises(AgentError):
        boot.Cron(board.environment, board.home).install("lading-digits", "x", COMMAND, start=True)
    assert board.table.read_text() == "precious\n"


def test_neither_is_said(system: Callable[..., System]) -> None:
    board = system()
    assert boot.find(board.environment, board.home) == (None, "no systemctl; no crontab")
