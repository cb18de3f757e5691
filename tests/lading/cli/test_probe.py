"""``lading probe``, ``lading conformance`` and ``lading profiles new``, as a user and as a program sees them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "COLUMNS": "200",
    }


def lading(home: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from lading.cli.main import main; main()", *words]
    return subprocess.run(command, env=home, capture_output=True, text=True, check=False)


def document(result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    return found


def test_a_probe_reports_saves_and_the_saved_profile_can_be_emulated(home: dict[str, str], tmp_path: Path) -> None:
    result = lading(home, "probe", "emulated://raspberry-pi-4b?firmware=wasmedge-0.17", "--save", "mine", "--json")
    assert result.returncode == 0, result.stderr
    found = document(result)
    assert found["schema"] == "lading.capabilities/1"
    assert found["profile"]["fits"][0] == "wasmedge-0.17"
    assert found["facts"]["architecture"] == {
        "value": "aarch64",
        "known_by": "declared",
        "evidence": "target raspberry-pi-4b",
    }
    assert found["soft"]["tensor_types"]["value"] == {"f32": 1, "f16": 0, "u8": 3, "i32": 4}
    assert found["saved"]["unexplained"] == []
    assert found["probe"]["round_trips"] <= 6

    assert lading(home, "profiles", "validate", found["saved"]["file"]).returncode == 0
    again = document(lading(home, "conformance", "emulated://x86-64?firmware=mine", "--group", "output", "--json"))
    assert (again["failed"], again["profile"]) == (0, "mine")


def test_a_microcontroller_is_declared_throughout_also_for_webnn(home: dict[str, str]) -> None:
    shown = lading(home, "probe", "emulated://nrf5340-dk?firmware=tflm-int8")
    assert shown.returncode == 0, shown.stderr
    assert "runs no guests" in shown.stdout
    assert "measured" not in shown.stdout

    limits = document(lading(home, "probe", "emulated://nrf5340-dk?firmware=tflm-int8", "--webnn", "--json"))
    assert limits["preferredInputLayout"] == "nhwc"
    assert limits["conv2d"]["input"]["rankRange"] == limits["input"]["rankRange"]
    assert limits["gelu"]["input"]["dataTypes"] == []

    refused = lading(home, "profiles", "new", "x", "--from", "emulated://nrf5340-dk?firmware=tflm-int8", "--json")
    assert refused.returncode == 1
    assert document(refused)["error"]["code"] == "cannot-save"


def test_conformance_fails_where_another_profile_is_expected_and_writes_junit(
    home: dict[str, str], tmp_path: Path
) -> None:
    junit = tmp_path / "report.xml"
    words = ["emulated://x86-64?firmware=wamr-2.4", "--personality", "lading-litert", "--group", "output"]
    result = lading(home, "conformance", *words, "--junit", str(junit))
    assert result.returncode == 1
    assert "output/output-outside" in result.stdout
    assert "failed" in result.stdout
    assert junit.read_text(encoding="utf-8").startswith("<?xml")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["conformance"], "nothing to judge"),
        (["conformance", "x86-64", "--command", "a {module}"], "two things"),
        (["conformance", "--command", "a b"], "no place for the module"),
        (["conformance", "--personality", "tflm-int8"], "hosts no core modules"),
        (["probe", "emulated://x86-64", "--save", "../x"], "cannot be the name"),
        (["probe", "emulated://x86-64", "--save", "nowhere/x.toml"], "there is no folder nowhere"),
    ],
)
def test_wrong_use_is_named(home: dict[str, str], words: list[str], said: str) -> None:
    result = lading(home, *words)
    assert result.returncode == 2
    assert said in result.stderr


def test_a_saved_profile_is_not_replaced_unasked(home: dict[str, str], tmp_path: Path) -> None:
    board = "emulated://x86-64?firmware=wasi-nn-witx"
    for save in (["probe", board, "--save", str(tmp_path / "mine.toml")], ["profiles", "new", "mine", "--from", board]):
        assert lading(home, *save).returncode == 0
        refused = lading(home, *save)
        assert refused.returncode == 2
        assert "mine.toml exists already" in refused.stderr
        assert "--force" in refused.stderr
        assert lading(home, *save, "--force").returncode == 0
    assert lading(home, "profiles", "validate", str(tmp_path / "mine.toml")).returncode == 0
    own = lading(home, "profiles", "new", "mine", "--from", "emulated://x86-64?firmware=mine", "--force")
    assert own.returncode == 1
    assert "would extend itself" in own.stderr
