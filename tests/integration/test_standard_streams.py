"""Standard streams that are closed, full or of another encoding, and bytes that would command a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.command import COMMAND
from tests.support.wat_guests import says

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command import Lading

FULL = "/dev/full"
needs_full = pytest.mark.skipif(not os.path.exists(FULL), reason="no /dev/full here")  # noqa: PTH110
DEVICE = "emulated://raspberry-pi-4b"


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "guest.wasm"
    path.write_bytes(says("hello", 7))
    return path


def shell(lading: Lading, line: str, *words: object) -> subprocess.CompletedProcess[bytes]:
    """A line of shell in which ``"$@"`` is the command with ``words``."""
    argv = ["sh", "-c", line, "sh", str(COMMAND), *map(str, words)]
    return subprocess.run(
        argv, capture_output=True, timeout=120, check=False, cwd=lading.cwd, env=lading.environment(), stdin=None
    )


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_nothing_to_a_guest(lading: Lading, module: Path, closed: str) -> None:
    ran = shell(lading, f'"$@" {closed}', "emulate", module)
    assert ran.returncode == 7, ran
    assert ran.stderr == b""
    assert ran.stdout == (b"" if ">&- " in f"{closed} " and closed != "2>&-" else b"hello")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("words", [("status", DEVICE), ("status", DEVICE, "--json"), ("--help",), ("--version",)])
def test_closed_streams_are_nothing_to_a_verb(lading: Lading, words: tuple[str, ...], closed: str) -> None:
    ran = shell(lading, f'"$@" {closed}', *words)
    assert (ran.returncode, ran.stderr) == (0, b"")


@needs_full
@pytest.mark.parametrize(
    "words", [("status", DEVICE), ("status", DEVICE, "--json"), ("status", "nonsense://", "--json"), ("--version",)]
)
def test_a_full_standard_output_is_said_and_is_a_failure(lading: Lading, words: tuple[str, ...]) -> None:
    ran = shell(lading, f'"$@" > {FULL}', *words)
    assert ran.returncode in (1, 2)
    assert b"Traceback" not in ran.stderr
    assert ran.stderr.startswith(b"lading: error:")


@needs_full
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_guest_whose_output_nobody_can_take_ends_with_our_status(
    lading: Lading, module: Path, options: tuple[str, ...]
) -> None:
    ran = shell(lading, f'"$@" > {FULL}', "emulate", *options, module)
    assert ran.returncode == 125
    assert b"standard output cannot be written" in ran.stderr
    assert b"Traceback" not in ran.stderr


@needs_full
def test_a_full_standard_error_costs_nobody_the_result(lading: Lading, module: Path) -> None:
    ran = shell(lading, f'"$@" 2> {FULL}', "emulate", module)
    assert (ran.returncode, ran.stdout) == (7, b"hello")
    assert shell(lading, f'"$@" 2> {FULL}', "pack", "nowhere").returncode == 2


def test_an_encoding_without_the_characters_is_no_reason_to_fail(lading: Lading, module: Path) -> None:
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for words in (("--help",), ("status", DEVICE), ("status", DEVICE, "--json"), ("emulate", str(module))):
        lading(*words, expect=7 if words[0] == "emulate" else 0, env=ascii_only).stdout.decode("ascii")


def test_a_document_about_a_name_that_is_not_utf_8_is_still_utf_8(lading: Lading) -> None:
    ran = subprocess.run(
        [str(COMMAND), "emulate", "--json", b"\xff.wasm"],
        capture_output=True,
        timeout=120,
        check=False,
        env=lading.environment({"LC_ALL": "C.UTF-8"}),
    )
    assert ran.returncode == 127
    assert b"\\udcff.wasm" in ran.stdout
    ran.stdout.decode("utf-8")


@pytest.mark.parametrize("words", [("run", DEVICE, "--"), ("emulate", "guest.wasm", "--")])
def test_guest_arguments_that_are_not_utf_8_are_wrong_use(lading: Lading, module: Path, words: tuple[str, ...]) -> None:
    assert module.is_file()
    ran = subprocess.run(
        [str(COMMAND), *words, b"\xff"],
        capture_output=True,
        timeout=120,
        check=False,
        env=lading.environment(),
        cwd=module.parent,
    )
    assert ran.returncode == 125
    assert b"is not UTF-8" in ran.stderr


def test_a_name_that_is_too_long_is_an_error_of_one_sentence(lading: Lading) -> None:
    assert "File name too long" in lading("pack", "x" * 5000, expect=2).err


def test_escapes_in_a_guest_s_model_name_do_not_reach_the_terminal(lading: Lading, tmp_path: Path) -> None:
    from tests.support.wat_guests import guest

    name = b"\x1b]0;owned\x07\x1b[2J\nlading: error: forged"
    path = tmp_path / "evil.wasm"
    body = f"(drop (call $load (i32.const 64) (i32.const {len(name)}) (i32.const 0)))"
    path.write_bytes(guest(body, data=((64, name),)))
    ran = lading("emulate", path)
    assert "load_by_name" in ran.err
    assert not any(c in ran.stderr for c in (b"\x1b", b"\x07"))
    assert not any(line.startswith(b"lading: error: forged") for line in ran.stderr.splitlines())


def test_escapes_from_users_do_not_reach_the_terminal(lading: Lading) -> None:
    for words in (("emulate", "\x1b[31m.wasm"), ("pack", "\x1b[31m"), ("status", DEVICE, "\x1b[31m")):
        ran = lading(*words, expect=None)
        assert b"\x1b" not in ran.stderr, sys.stderr.write(ran.err)
