"""The main path on a real ARM Linux: over SSH and over its UART, with the answers that this machine gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support import wat_guests as guests
from tests.support.apps import write_app
from tests.support.examples import EXAMPLES
from tests.support.made_models import fully_connected
from tests.support.programs import need
from tests.support.qemu_boards import QemuBoard, raised

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QemuBoard]:
    """A board that digits was deployed to once."""
    with raised("debian-arm64", tmp_path_factory.mktemp("board")) as up:
        yield up


@pytest.fixture(scope="module")
def first(board: QemuBoard, digits_bundle: Path) -> dict[str, Any]:
    """What the first deploy to a bare board said."""
    return dict(board.lading.json("deploy", digits_bundle, board.address)["devices"][0])


def answers(text: str) -> list[str]:
    """What digits says of its images, without how long it took."""
    return [line for line in text.splitlines() if not line.startswith("latency")]


def test_a_bare_board_answers_as_this_machine_does(board: QemuBoard, first: dict[str, Any]) -> None:
    golden = first["push"]["golden"]
    assert golden
    assert all(vector["worst"] <= 1 for vector in golden), golden
    images, model = EXAMPLES / "digits" / "images", EXAMPLES / "digits" / "models" / "digits_int8.tflite"
    here = board.lading(
        *("emulate", EXAMPLES / "digits" / "digits.wasm", "--model", f"digits={model}", "--dir", f"{images}::/images"),
        *("--", "/images"),
    )
    there = answers(first["run"]["stdout"])
    assert len(there) == 101
    assert [line.split()[2] for line in there[:-1]] == [
        line.split()[2] for line in answers(here.out.replace("/images/", "images/"))[:-1]
    ], "another digit than here"
    assert there[-1] == "accuracy: 99 of 100 (99.0 %)"
    written = board.run("find / -xdev -newer /etc/lading-board -user user -type f 2>/dev/null || true").splitlines()
    assert written
    assert all(path.startswith("/home/user/.local/share/lading/") for path in written), "something lies elsewhere"


def over_uart(board: QemuBoard, *words: str | Path) -> dict[str, Any]:
    """A verb over the board's UART.

    Where this machine has more to do than it can, the console that the verb before left needs longer to be a shell's
    again than the next verb waits; that one says so, and the second attempt is the one that counts.
    """
    done = board.lading(*words, "--json", expect=None)
    if done.status in (3, 127):
        assert done.json["error"]["code"] in ("console", "auth-failed", "link-lost"), str(done)
        return board.lading.json(*words)
    assert done.status == 0, str(done)
    return done.json


def test_the_same_app_over_the_uart(board: QemuBoard, first: dict[str, Any], tmp_path: Path) -> None:
    run = over_uart(board, "run", f"{board.address}#ttyAMA0")
    assert run["status"] == 0
    assert answers(run["stdout"]) == answers(first["run"]["stdout"])
    # Another release over the UART, seen over SSH, and back.
    app = write_app(tmp_path / "app", guests.says("one\n"))
    one = over_uart(board, "deploy", app, f"{board.address}#uart0")["devices"][0]
    assert one["run"]["stdout"] == "one\n"
    two = board.lading.json("deploy", write_app(app, guests.says("two\n"), version="2.0.0"), board.address)
    assert two["devices"][0]["run"]["stdout"] == "two\n"
    assert over_uart(board, "rollback", f"{board.address}#uart0", "app")["current"] == one["push"]["release"]
    assert board.lading("run", board.address, "app").out == "one\n"


def test_a_uart_that_it_does_not_have(board: QemuBoard) -> None:
    done = board.lading("status", f"{board.address}#ttyS7", expect=2)
    assert "no UART 'ttyS7'" in done.err
    assert "#ttyAMA0" in done.err


def test_a_probe_tells_what_the_board_is_and_measures_its_runtime(board: QemuBoard, first: dict[str, Any]) -> None:
    assert first["ok"]
    report = board.lading.json("probe", board.address)
    facts = {name: entry["value"] for name, entry in report["facts"].items()}
    assert facts["system"]["architecture"] == "aarch64"
    assert facts["cpu"]["model"] == "Cortex-A72"
    assert {"asimd", "crc32", "aes", "fp"} <= set(facts["cpu"]["features"])
    assert 400 * MIB < facts["memory"]["total_bytes"] < 512 * MIB
    assert all(entry["known_by"] == "measured" for entry in report["facts"].values() if entry["value"])
    assert report["profile"]["nearest"] == "lading-litert"


@pytest.mark.parametrize("group", ["module", "load"])
def test_the_conformance_suite_runs_there(board: QemuBoard, first: dict[str, Any], group: str) -> None:
    assert first["ok"]
    told = board.lading.json("conformance", board.address, "--group", group, "--jobs", "1")
    assert told["failed"] == 0, told
    assert told["passed"] > 0


def test_a_small_board_refuses_what_does_not_fit_before_anything_is_sent(tmp_path: Path) -> None:
    with raised("debian-arm64-small", tmp_path) as small:
        app = write_app(
            tmp_path / "app",
            guests.infers("m", (1, 4096), content=bytes(4 * 4096)),
            models={"m": fully_connected(2, 4096)},
        )
        refused = small.lading.json("deploy", app, small.address, expect=1)["devices"][0]
        assert refused["error"]["code"] in ("check-refused", "no-variant", "too-large")
        assert refused["push"] is None
        assert small.lading.json("status", small.address)["apps"] == {}
        assert int(small.run("du -sk .local/share/lading/blobs | cut -f1")) < 60 * 1024, "the model was sent"


def test_a_board_without_engines_is_refused_before_anything_is_sent(tmp_path: Path, digits_bundle: Path) -> None:
    need("qemu-system-riscv64")
    with raised("debian-riscv64", tmp_path) as board:
        refused = board.lading.json("deploy", digits_bundle, board.address, expect=1)["devices"][0]
        assert refused["error"]["code"] == "engine-unfit"
        assert "riscv64" in refused["error"]["message"]
        assert "wasmedge" in refused["error"]["remedy"]
        assert sorted(board.run("ls -A").split()) == [".bashrc", ".profile", ".ssh"], "something was sent"
