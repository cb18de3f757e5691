"""``lading emulate --host native``: the same command with lading's own runner behind it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support import wat_guests as guests
from tests.support.examples import EXAMPLES
from tests.support.hosts import native

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command import Lading

DIGITS = EXAMPLES / "digits"


@pytest.fixture(autouse=True)
def _native_here() -> None:
    native()


def digits(lading: Lading, host: str) -> str:
    done = lading(
        "emulate",
        DIGITS / "digits.wasm",
        "--host",
        host,
        "--model",
        f"digits={DIGITS / 'models' / 'digits_int8.tflite'}",
        "--dir",
        f"{DIGITS / 'images'}::/images",
        "--",
        "/images",
    )
    return re.sub(r"[0-9.]+ (?=[mµ]?s\b)", "… ", done.out)  # the guest's own times differ from run to run


def test_the_digits_example_says_the_same_on_both_hosts(lading: Lading) -> None:
    found = digits(lading, "native")
    assert found == digits(lading, "python")
    assert re.search(r"accuracy: \d+ of \d+ ", found)


def test_the_document_names_the_runtime(lading: Lading, tmp_path: Path) -> None:
    module = tmp_path / "guest.wasm"
    module.write_bytes(guests.exits(3))
    document = lading.json("emulate", module, "--host", "native", expect=3)
    assert "lading native runner, wasmtime " in str(document)


def test_a_profile_of_another_runtime_is_refused_by_name(lading: Lading, tmp_path: Path) -> None:
    module = tmp_path / "guest.wasm"
    module.write_bytes(guests.exits(0))
    done = lading("emulate", module, "--host", "native", "--personality", "wamr-2.4", expect=126)
    assert "needs the Python host" in done.err
    assert "--host python" in done.err


def test_another_host_is_wrong_use(lading: Lading, tmp_path: Path) -> None:
    module = tmp_path / "guest.wasm"
    module.write_bytes(guests.exits(0))
    done = lading("emulate", module, "--host", "ruby", expect=None)
    assert done.status != 0
    assert "python and native" in done.err
