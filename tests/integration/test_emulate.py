"""Bare modules: ``lading emulate`` stands in for the guest, down to its exit status and the last byte."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support import wat_guests as guests
from tests.support.command import COMMAND, PATIENCE_S
from tests.support.examples import EXAMPLES
from tests.support.made_models import fully_connected

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command import Lading

DIGITS = EXAMPLES / "digits"
ESCAPE = b"\x1b"


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """Where a test puts its guest."""
    return tmp_path / "guest.wasm"


def test_the_digits_without_a_project(lading: Lading) -> None:
    done = lading(
        "emulate",
        DIGITS / "digits.wasm",
        "--model",
        f"digits={DIGITS / 'models' / 'digits_int8.tflite'}",
        "--dir",
        f"{DIGITS / 'images'}::/images",
        "--",
        "/images",
    )
    found = re.search(r"accuracy: (\d+) of (\d+) ", done.out)
    assert found
    assert int(found[1]) / int(found[2]) >= 0.95


def test_exit_statuses_pass_through(lading: Lading, module: Path) -> None:
    for status in (0, 42, 127, 255):
        module.write_bytes(guests.exits(status))
        done = lading("emulate", module, expect=status)
        assert (done.stdout, done.stderr) == (b"", b""), "a guest that ends by itself is not commented on"


def test_a_trap_ends_as_the_real_runtime_would(lading: Lading, module: Path) -> None:
    module.write_bytes(guests.traps())
    done = lading("emulate", module, expect=134)
    assert done.err.startswith("lading: trap: ")
    assert "unreachable" in done.err


def test_bytes_pass_through_unchanged(lading: Lading, module: Path) -> None:
    module.write_bytes(guests.echoes())
    data = bytes(range(256)) * 2000 + b"\xff\xfe\r\n\0"
    assert lading("emulate", module, stdin=data).stdout == data
    said = lading.json("emulate", module, stdin=b"\xff\0")
    assert (said["stdout"], said["stdout_base64"]) == (None, "/wA=")
    assert lading.json("emulate", module, stdin="größe\n".encode())["stdout"] == "größe\n"


def test_closed_streams(lading: Lading, module: Path) -> None:
    module.write_bytes(guests.echoes())
    for closed in ("<&-", "<&- 2>&-"):
        ran = subprocess.run(
            ["sh", "-c", f'exec "$0" emulate "$1" {closed}', str(COMMAND), str(module)],
            capture_output=True,
            env=lading.environment(),
            timeout=PATIENCE_S,
            check=False,
        )
        assert (ran.returncode, ran.stdout) == (0, b""), ran
        assert b"Traceback" not in ran.stderr
    module.write_bytes(guests.says("x" * 1000))
    ran = subprocess.run(
        ["sh", "-c", '"$0" emulate "$1" | head -c 1', str(COMMAND), str(module)],
        capture_output=True,
        env=lading.environment(),
        timeout=PATIENCE_S,
        check=False,
    )
    assert (ran.stdout, ran.stderr) == (b"x", b"")


def test_arguments_and_environment(lading: Lading, module: Path) -> None:
    module.write_bytes(guests.tells_its_arguments())
    assert lading("emulate", module).stdout == b"guest.wasm\0"
    assert lading("emulate", module, "--", "--json", "", "b c").stdout == b"guest.wasm\0--json\0\0b c\0"
    assert lading("emulate", module, "plain").stdout == b"guest.wasm\0plain\0"


def test_directories_are_read_only_unless_rw_is_said(lading: Lading, module: Path, tmp_path: Path) -> None:
    module.write_bytes(guests.writes_a_file("new", "made"))
    folder = tmp_path / "data"
    folder.mkdir()
    for mode in ("::/data", "::/data:ro", ""):
        assert lading("emulate", module, "--dir", f"{folder}{mode}", expect=None).status != 0
        assert not (folder / "new").exists()
    lading("emulate", module, "--dir", f"{folder}::/data:rw")
    assert (folder / "new").read_text() == "made"
    module.write_bytes(guests.writes_a_file("../escaped", "made"))
    assert lading("emulate", module, "--dir", f"{folder}::/data:rw", expect=None).status != 0
    assert not (tmp_path / "escaped").exists()


def test_a_link_out_of_an_opened_directory_is_not_followed(lading: Lading, module: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "out").symlink_to(tmp_path)
    module.write_bytes(guests.writes_a_file("out/escaped", "made"))
    assert lading("emulate", module, "--dir", f"{folder}::/data:rw", expect=None).status != 0
    assert not (tmp_path / "escaped").exists()


def test_a_host_without_a_backend(lading: Lading, module: Path, tmp_path: Path) -> None:
    module.write_bytes(guests.infers("m"))
    (tmp_path / "m.tflite").write_bytes(fully_connected(1, 4))
    model = f"m={tmp_path / 'm.tflite'}"
    lading("emulate", module, "--model", model)
    done = lading("emulate", module, "--model", model, "--no-backend", expect=12)
    assert "no TFLite backend" in done.err, "invalid_encoding at load_by_name, and the host's log says why"


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (b"", "invalid-module", "not a WebAssembly module"),
        (b"#!/bin/sh\nexit 0\n", "invalid-module", "not a WebAssembly module"),
        (b"\0asm\x01\0\0\0\xff\xff", "invalid-module", "not valid"),
        (b"\0asm\x0d\0\x01\0", "not-loadable", "component"),
        (b"\0asm\x01\0\0\0", "not-loadable", "_start"),
    ],
)
def test_what_cannot_be_run(lading: Lading, module: Path, content: bytes, kind: str, words: str) -> None:
    module.write_bytes(content)
    done = lading("emulate", module, expect=126)
    assert done.err.startswith(f"lading: {kind}: ")
    assert words in done.err
    assert "  remedy: " in done.err


def test_what_is_not_there(lading: Lading, module: Path) -> None:
    assert "no module" in lading("emulate", module, expect=127).err
    module.write_bytes(guests.exits(0))
    done = lading("emulate", module, "--personality", "no-such-runtime", expect=127)
    assert "no-such-runtime" in done.err
    assert "remedy" in done.err
    lading("emulate", module, "--model", "m=nowhere.tflite", expect=125)
    lading("emulate", module, "--dir", "nowhere::/data", expect=125)
    folder = lading("emulate", module.parent, expect=None)
    assert folder.status in (126, 127)


@pytest.mark.parametrize(
    "words",
    [
        ["--no-such-option"],
        ["--timeout", "soon"],
        ["--timeout", "0"],
        ["--timeout", "-1"],
        ["--max-memory", "much"],
        ["--max-memory", "0"],
        ["--threads", "-1"],
        ["--threads", "many"],
        ["--model", "m"],
        ["--model", "=x"],
        ["--model", "m=x,colour=red"],
        ["--model", "m=x,int8=sometimes"],
        ["--model", "m=x,state=a"],
        ["--dir", "::/data"],
        ["--dir", ".::/data:wr"],
        ["--env", "KEY"],
    ],
    ids=" ".join,
)
def test_wrong_use_is_125(lading: Lading, module: Path, words: list[str]) -> None:
    module.write_bytes(guests.exits(0))
    done = lading("emulate", module, *words, expect=125)
    assert done.stdout == b""
    assert done.err


def test_limits(lading: Lading, module: Path) -> None:
    module.write_bytes(guests.spins())
    done = lading("emulate", module, "--timeout", "300ms", expect=125)
    assert done.err.startswith("lading: time-limit: ")
    assert "0.3 s" in done.err
    module.write_bytes(guests.allocates())
    assert lading("emulate", module, "--max-memory", "64MiB", expect=125).err.startswith("lading: memory-limit: ")


def test_no_escape_codes_without_a_terminal(lading: Lading, module: Path) -> None:
    module.write_bytes(guests.traps())
    for env in ({"TERM": "dumb"}, {"TERM": "xterm-256color"}):
        assert ESCAPE not in lading("emulate", module, expect=134, env=env).stderr
        assert ESCAPE not in lading("--help", env=env).stdout


@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"NO_COLOR": "1", "TERM": "xterm"}], ids=["dumb", "no-color"])
def test_no_colours_on_a_terminal_that_wants_none(
    lading: Lading, board: str, tmp_path: Path, env: dict[str, str]
) -> None:
    """A real terminal: colours and bars only where it can show them."""
    from tests.support.apps import write_app
    from tests.support.terminal import on_a_terminal

    app = write_app(tmp_path / "app", guests.says("hello\n"))
    shown = on_a_terminal([str(COMMAND), "deploy", str(app), board], lading.environment(env), lading.cwd)
    assert b"hello" in shown
    assert not re.findall(rb"\x1b\[[0-9;]*[34]\dm", shown), "no colour"
    if env["TERM"] == "dumb":
        assert ESCAPE not in shown
    coloured = on_a_terminal(
        [str(COMMAND), "deploy", str(app), board, "--force"], lading.environment({"TERM": "xterm"}), lading.cwd
    )
    assert ESCAPE in coloured
