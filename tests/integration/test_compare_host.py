"""``lading run --compare-host``: the app's models, there and here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from lading.bundle import open_bundle, pack
from lading.client import connect
from lading.devices import resolve
from lading.errors import RunFailed
from lading.numerics.app import AppModels
from lading.numerics.compare_host import compare_host
from lading.project import load_project
from tests.support.apps import write_app
from tests.support.documents import keys_of
from tests.support.wat_guests import says

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command import Lading

KEYS = {
    "device", "app", "release", "variant", "ok", "runtimes", "runtimes.device", "runtimes.host", "vectors",
    "vectors[].model", "vectors[].vector", "vectors[].ok", "vectors[].outputs", "vectors[].outputs[].tensor",
    "vectors[].outputs[].dtype", "vectors[].outputs[].shape", "vectors[].outputs[].elements",
    "vectors[].outputs[].differing", "vectors[].outputs[].over", "vectors[].outputs[].unit",
    "vectors[].outputs[].worst", "vectors[].outputs[].relative", "vectors[].outputs[].ulp", "vectors[].outputs[].first",
    "vectors[].outputs[].wrong", "vectors[].outputs[].ok",
}  # fmt: skip
"""Keys that programs may count on."""


@pytest.fixture
def deployed(lading: Lading, board: str, digits: Path) -> Path:
    """The digits example, which the board has."""
    lading("push", digits, board)
    return digits


def test_the_golden_inputs_give_the_same_there_and_here(lading: Lading, board: str, deployed: Path) -> None:
    said = lading("run", board, "--compare-host", cwd=deployed)
    assert "digits@1.0.0: probabilities   golden 1   ok       0 steps           0 of 10" in said.out
    document = lading.json("run", board, "digits", "--compare-host", "--project", deployed)
    assert keys_of(document) >= KEYS
    assert document["ok"] is True
    assert "litert" in document["runtimes"]["device"]


def test_inputs_of_ones_own(lading: Lading, board: str, deployed: Path, tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / "in" / str(number)).mkdir(parents=True)
        image = np.random.default_rng(number).integers(-128, 128, (1, 8, 8, 1), dtype=np.int8)
        np.save(tmp_path / "in" / str(number) / "image.npy", image)
    words = ("run", board, "--compare-host", "--project", deployed, "--inputs")
    document = lading.json(*words, tmp_path / "in")
    assert [v["vector"] for v in document["vectors"]] == ["0", "1", "2"]
    one = lading.json(*words, tmp_path / "in" / "1")
    assert [v["vector"] for v in one["vectors"]] == ["1"]
    np.save(tmp_path / "in" / "1" / "image.npy", np.zeros((1, 8, 8), np.int8))
    assert "has shape [1, 8, 8]" in lading(*words, tmp_path / "in", expect=126).err
    (tmp_path / "empty").mkdir()
    assert "has no .npy files" in lading(*words, tmp_path / "empty", expect=125).err


def test_a_device_that_computes_something_else_is_found_out(
    lading: Lading, board: str, store: Path, deployed: Path
) -> None:
    """A weight of the model changes on the device, behind everybody's back."""
    bundle = next((deployed / "dist").glob("*.lading"))
    with open_bundle(bundle) as opened:
        model = opened.bill.variant().models[0]
    (blob,) = store.rglob(model.digest.removeprefix("sha256:"))
    blob.chmod(0o644)
    data = bytearray(blob.read_bytes())
    at = _weights(bytes(data))
    data[at : at + 64] = bytes(b ^ 0x55 for b in data[at : at + 64])
    blob.write_bytes(data)
    done = lading("run", board, "--compare-host", "--project", deployed, expect=1)
    assert "1 output of digits" in done.out
    assert "too far apart" in done.out
    document = lading.json("run", board, "--compare-host", "--project", deployed, expect=1)
    (output,) = document["vectors"][0]["outputs"]
    assert (document["ok"], output["ok"]) == (False, False)
    assert output["unit"] == "steps"
    assert output["worst"] > 1
    assert output["differing"] >= output["over"] > 0
    first = output["first"]
    assert abs(first["expected"] - first["got"]) > 1
    assert len(first["index"]) == 2
    assert lading.json("run", board, "--compare-host", "--project", deployed, "--steps", "255")["ok"]


def _weights(model: bytes) -> int:
    """Where a model's longest constant lies."""
    import tflite

    read = tflite.Model.GetRootAs(model, 0)
    longest = max((read.Buffers(n).DataAsNumpy() for n in range(read.BuffersLength())
                   if read.Buffers(n).DataLength()), key=len)  # fmt: skip
    return model.index(longest.tobytes())


def test_a_recurrent_model_of_two_inputs(lading: Lading, board: str, tmp_path: Path) -> None:
    from tests.support.examples import EXAMPLES

    lading("push", EXAMPLES / "stream", board)
    document = lading.json("run", board, "--compare-host", "--project", EXAMPLES / "stream")
    (vector,) = document["vectors"]
    assert [(o["tensor"], o["unit"], o["ulp"]) for o in vector["outputs"]] == [
        ("logits", "absolute", 0),
        ("next_state", "absolute", 0),
    ]


def test_what_cannot_be_compared_is_said(lading: Lading, board: str, deployed: Path, tmp_path: Path) -> None:
    app = write_app(tmp_path / "app", says("hello"))
    lading("push", app, board)
    assert "app has no golden vector" in lading("run", board, "--compare-host", "--project", app, expect=125).err
    wrong = lading("run", board, "other", "--compare-host", "--project", app, expect=125)
    assert "is the app app, not other" in wrong.err
    text = (deployed / "lading.toml").read_text()
    (deployed / "lading.toml").write_text(text.replace('version = "1.0.0"', 'version = "2.0.0"', 1))
    newer = lading("run", board, "--compare-host", "--project", deployed, expect=127)
    assert "the device does not have digits 2.0.0-" in newer.err
    assert "lading deploy" in newer.err
    assert "--detach means nothing" in lading("run", board, "--compare-host", "--detach", expect=125).err
    assert "--steps belongs to --compare-host" in lading("run", board, "digits", "--steps", "2", expect=125).err


def test_the_variant_that_a_device_has_is_what_is_compared(lading: Lading, tmp_path: Path, digits: Path) -> None:
    """On WasmEdge int8 tensors do not pass: what is there is a uint8 model, on the golden inputs of that variant."""
    board = f"emulated://raspberry-pi-4b?firmware=wasmedge-0.17&state={tmp_path / 'other'}"
    lading("push", digits, board)
    found = lading.json("run", board, "--compare-host", "--project", digits)
    assert found["variant"] != "default"
    (output,) = found["vectors"][0]["outputs"]
    assert (output["dtype"], output["worst"]) == ("uint8", 0)
    assert "native" not in found["runtimes"]["device"]


def test_a_call_that_a_firmware_refuses_is_named(tmp_path: Path, digits: Path) -> None:
    text = (digits / "lading.toml").read_text()
    (digits / "lading.toml").write_text(text[: text.index("[[smoke]]")])
    bundle = pack(load_project(digits), tmp_path / "digits.lading").path
    device = resolve(f"emulated://raspberry-pi-4b?firmware=wasmedge-0.17&state={tmp_path / 'other'}")
    with connect(device) as session, open_bundle(bundle) as cargo, AppModels(bundle) as models:
        session.push(cargo, variant="default")
        with pytest.raises(RunFailed, match=r"the device refuses set_input of model .*: invalid_argument \(1\)"):
            compare_host(session, models)
