"""`lading trace`, `lading check` and the check before a deploy, by the real command."""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
import wasmtime

from tests.support import wat_guests
from tests.support.apps import write_app
from tests.support.command import COMMAND
from tests.support.differential import GUESTS, MODELS
from tests.support.examples import EXAMPLES
from tests.support.terminal import on_a_terminal

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command import Lading


def test_the_matrix_of_the_digits_example(lading: Lading, tmp_path: Path) -> None:
    junit = tmp_path / "check.xml"
    document = lading.json("check", EXAMPLES / "digits", "--on", "all", "--junit", junit)
    rows = {v["profile"]: v for v in document["verdicts"]}
    assert rows["lading-litert"]["verdict"] == "ok"
    assert rows["wasmedge-0.17"]["at"] == {"step": 3, "call": "set_input"}
    assert rows["wasmedge-0.17"]["errno"] == {"name": "invalid_argument", "number": 1}
    assert document["schema"] == "lading.check/1"
    assert len(ET.parse(junit).getroot()[0]) == len(rows)
    table = lading("check", EXAMPLES / "digits", "--on", "all").out.splitlines()
    assert [line.split()[0] for line in table[1 : len(rows) + 1]] == list(rows), "one row a profile"
    assert all(v["reason"] in line for v, line in zip(rows.values(), table[1:], strict=False)), "nothing is cut"
    for remedy in {v["remedy"] for v in rows.values()} - {""}:
        assert len([line for line in table if line.endswith(f". {remedy}")]) == 1, remedy
    assert table[-1].startswith("2 ok, ")


@pytest.mark.parametrize("columns", [80, 160])
def test_a_terminal_gets_every_word_of_the_matrix(lading: Lading, columns: int) -> None:
    document = lading.json("check", EXAMPLES / "digits", "--on", "all")
    env = {**lading.environment(), "TERM": "xterm", "NO_COLOR": "1", "COLUMNS": str(columns)}
    words = [str(COMMAND), "check", str(EXAMPLES / "digits"), "--on", "all"]
    shown = re.sub(r"\x1b\[[0-9;]*m", "", on_a_terminal(words, env, lading.cwd).decode()).replace("\r", "")
    assert max(map(len, shown.splitlines())) <= columns
    flowing = " ".join(shown.split())
    for verdict in document["verdicts"]:
        for text in (verdict["reason"], verdict["remedy"]):
            assert " ".join(text.split()) in flowing


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("profiles list", 0),
        ("targets --help", 0),
        ("golden", 0),
        ("probe emulated://x86-64?firmware=wasi-nn-witx", 0),
        ("check EXAMPLE --on wasmtime-wit", 1),
        ("check EXAMPLE --on wasmtime-wit --json", 1),
        ("profiles show nothing", 2),
    ],
)
def test_output_that_nobody_reads_ends_a_verb_quietly(lading: Lading, words: str, status: int) -> None:
    """The status is still the verb's own word."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [str(COMMAND), *words.replace("EXAMPLE", str(EXAMPLES / "digits")).split()]
    try:
        done = subprocess.run(
            command, stdout=writer, stderr=subprocess.PIPE, env=lading.environment(), cwd=lading.cwd, check=False
        )
    finally:
        os.close(writer)
    assert done.returncode == status
    assert b"Traceback" not in done.stderr
    assert b"Broken pipe" not in done.stderr
    assert (done.stderr == b"") == (status < 2)


def test_what_is_required_decides(lading: Lading) -> None:
    digits = EXAMPLES / "digits"
    lading("check", digits, "--on", "all", "--require", "all", expect=1)
    lading("check", digits, "--on", "all", "--require", "lading-litert,lading-tflite-runtime")
    done = lading("check", digits, "--on", "wasmedge-0.17", expect=1)
    assert "remedy: convert the model" in done.out
    lading("check", digits, "--on", "tflm-int8", expect=1)
    lading("check", digits, "--on", "tflm-int8", "--allow-unknown")
    lading("check", digits, "--on", "nothing", expect=2)


def test_a_bundle_is_checked_as_the_project_was(lading: Lading, digits_bundle: Path) -> None:
    document = lading.json("check", digits_bundle, "--on", "wamr-2.4,lading-litert")
    assert [v["verdict"] for v in document["verdicts"]] == ["fails", "ok"]


def test_a_bare_module_with_its_arguments(lading: Lading) -> None:
    calls = ("L:f=models/x_f32.tflite", "I:g=0", "S:c=0,i=0,t=1,d=1x4,n=16", "C:c=0", "G:c=0,i=0,max=16")
    words = (GUESTS / "nnx.wasm", "--on", "wasmedge-main", "--dir", f"{MODELS.parent}::.", "--", *calls)
    assert "1 ok" in lading("check", *words).out


def test_a_trace_is_one_document(lading: Lading, tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    document = lading.json("trace", EXAMPLES / "digits", "-o", file)
    assert document["schema"] == "lading.trace/1"
    assert document["numbering"]["name"] == "spec-new"
    assert document["end"]["status"] == 0
    assert "accuracy" in document["x-stdout"]
    assert json.loads(file.read_text())["calls"] == document["calls"]


def test_damaged_input_is_one_sentence(lading: Lading, tmp_path: Path) -> None:
    bad = tmp_path / "bad.wasm"
    bad.write_bytes(b"\0asm\1\0\0\0\x01\xff\xff\xff\xff\x7f")
    for verb in (("check", bad, "--on", "all"), ("trace", bad)):
        done = lading(*verb, expect=2)
        assert done.err.startswith("lading: error: ")
        assert "Traceback" not in done.err


def test_deploy_refuses_what_the_check_says_will_not_work(lading: Lading, digits: Path, store: Path) -> None:
    device = f"emulated://raspberry-pi-4b?firmware=wasmedge-0.17&state={store}"
    done = lading("deploy", digits, device, "--variant", "default", expect=1)
    assert "the check says: fails on wasmedge-0.17: set_input (call 3): invalid_argument (1)" in done.err
    assert lading.json("status", device)["apps"] == {}
    document = json.loads(lading("deploy", digits, device, "--variant", "default", "--json", expect=1).stdout)
    assert document["devices"][0]["error"]["code"] == "check-refused"
    assert document["devices"][0]["checked"] is True


def test_where_no_variant_fits_the_nearest_is_named_and_nothing_is_sent(
    lading: Lading, digits: Path, store: Path
) -> None:
    device = f"emulated://raspberry-pi-4b?firmware=wasmtime-witx&state={store}"
    for verb in ("deploy", "push"):
        done = lading(verb, digits, device, "--json", expect=1)
        (answer,) = json.loads(done.stdout)["devices"]
        assert answer["error"]["code"] == "no-variant"
        assert "no variant fits" in answer["error"]["message"]
        assert "the nearest is" in answer["error"]["message"]
        assert answer["error"]["remedy"]
        assert {v["variant"] for v in answer["error"]["details"]["variants"]} >= {
            "default",
            "wamr-2.4",
            "wasmedge-0.17",
        }
        assert answer["variant"]["chosen"] is None
    assert lading.json("status", device)["apps"] == {}


def test_a_model_under_another_name_is_found_before_anything_is_sent(lading: Lading, digits: Path, board: str) -> None:
    another_guest(digits, wat_guests.hoards_contexts("another"))
    done = lading("deploy", digits, board, "--no-run", expect=1)
    assert "load_by_name (call 1): not_found" in done.err


def test_a_guest_that_ends_before_it_shows_anything_is_refused_unless_the_user_allows_it(
    lading: Lading, digits: Path, board: str
) -> None:
    trapping = '(module (import "wasi_ephemeral_nn" "compute" (func (param i32) (result i32)))'
    another_guest(digits, bytes(wasmtime.wat2wasm(f'{trapping} (func (export "_start") unreachable))')))
    done = lading("deploy", digits, board, "--no-run", expect=1)
    assert "unknown on lading-litert" in done.err
    assert "--allow-unknown" in done.err
    lading("deploy", digits, board, "--no-run", "--allow-unknown")


def test_a_guest_without_wasi_nn_is_not_run_before_it_is_deployed(lading: Lading, digits: Path, board: str) -> None:
    another_guest(digits, wat_guests.spins())
    assert "checked: ok on lading-litert" in lading("deploy", digits, board, "--no-run").err


def another_guest(project: Path, module: bytes) -> None:
    """Put another guest into the digits project, without the smoke run that is not for it."""
    (project / "digits.wasm").write_bytes(module)
    toml = (project / "lading.toml").read_text()
    (project / "lading.toml").write_text(toml[: toml.index("[[smoke]]")])


@pytest.mark.parametrize(("path", "status"), [("/m/x_f32.tflite", 0), ("/m/../lading.toml", 7), ("x_f32.tflite", 7)])
def test_a_firmware_that_takes_names_for_paths_finds_what_the_app_ships_and_no_more(
    lading: Lading, tmp_path: Path, path: str, status: int
) -> None:
    """On the device as in the check: below the directories that are opened for the guest, never elsewhere."""
    name = f"{path}\0".encode()
    text = "".join(f"\\{byte:02x}" for byte in name)
    guest = f"""(module
      (import "wasi_ephemeral_nn" "load_by_name" (func $load (param i32 i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
      (memory (export "memory") 1)
      (data (i32.const 16) "{text}")
      (func (export "_start")
        (call $exit (call $load (i32.const 16) (i32.const {len(name) - 1}) (i32.const 8)))))"""
    app = write_app(tmp_path / "app", bytes(wasmtime.wat2wasm(guest)), more='[[dir]]\nhost = "m"\nguest = "/m"\n')
    (app / "m").mkdir()
    (app / "m" / "x_f32.tflite").write_bytes((MODELS / "x_f32.tflite").read_bytes())
    board = "emulated://raspberry-pi-4b?firmware=wamr-2.4"
    lading("push", app, board)
    assert lading("run", board, expect=None).status == status
    judged = lading.json("check", app, "--on", "wamr-2.4", expect=None)["verdicts"][0]
    assert (judged["verdict"] == "fails") == bool(status), judged
    if status:
        assert (judged["at"]["call"], judged["errno"]["number"]) == ("load_by_name", status)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("check", EXAMPLES / "digits", "--on", "all", "--junit", "nowhere/x.xml"),
            "--junit: there is no folder nowhere",
        ),
        (("trace", EXAMPLES / "digits", "-o", "."), "--output: . is a folder"),
        (("check", "empty.wasm", "--on", "all"), "the file is empty"),
        (("trace", "."), "there is no lading.toml"),
        (("trace", "nothing.wasm"), "there is no nothing.wasm"),
    ],
)
def test_wrong_input_is_named_with_a_remedy(lading: Lading, words: tuple[str | Path, ...], said: str) -> None:
    (lading.cwd / "empty.wasm").touch()
    done = lading(*words, expect=2)
    assert said in done.err
    assert "  remedy: " in done.err
