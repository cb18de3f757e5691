"""The digits example, packed once: an int8 model and a guest in C, right on every firmware that hosts TFLite on Linux.

Firmwares whose behaviour was measured on real builds, and those that were inferred, are told apart in the tests' names.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lading import profiles
from lading.bundle import open_bundle
from lading.trace.subject import bundle_subject
from lading.variants.plan import hosts_tflite
from lading_agent.runs import supervise
from lading_agent.runs.spec import Limits, RunSpec
from tests.support.command import Lading
from tests.support.examples import EXAMPLES

if TYPE_CHECKING:
    from lading.bundle.reader import Bundle

TOOLKIT = Path(__file__).parents[2] / "toolkit"
IMAGES = sorted((EXAMPLES / "digits" / "images").glob("*.pgm"))
ANSWER = re.compile(r"images/(\S+\.pgm) → (\d) \(")

AS_IT_IS = {"lading-litert", "lading-tflite-runtime"}
NEED_A_VARIANT = {
    "wasmedge-0.14", "wasmedge-0.17", "wasmedge-main", "wamr-2.3", "wamr-2.4", "wamr-main", "wamr-1.3-legacy",
    "wamr-2.3-legacy", "wamr-2.4-legacy", "wamr-main-legacy", "wasi-nn-witx",
}  # fmt: skip
HOSTS = {i: p for i, p in profiles.load_all().items() if hosts_tflite(p)}


@dataclass(frozen=True)
class Packed:
    """The example's bundle, and the command in whose home it was packed."""

    path: Path
    lading: Lading
    report: dict[str, Any]


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Packed:
    folder = tmp_path_factory.mktemp("variants")
    (folder / "home").mkdir()
    lading = Lading(folder / "home", folder)
    path = folder / "digits.lading"
    return Packed(path, lading, lading.json("pack", EXAMPLES / "digits", "-o", path))


def reference(bundle: Bundle, variant: str) -> dict[str, int]:
    """The class of each image by the bare interpreter on the variant's own model."""
    from ai_edge_litert.interpreter import Interpreter

    model = bundle.bill.variant(variant).models[0]
    interpreter = Interpreter(model_content=bundle.open_blob(model.digest).read(), num_threads=1)
    interpreter.allocate_tensors()
    (given,), (taken,) = interpreter.get_input_details(), interpreter.get_output_details()
    found = {}
    for image in IMAGES:
        pixels = np.frombuffer(image.read_bytes()[-64:], np.uint8).reshape(1, 8, 8, 1)
        level = np.round(pixels.astype(np.float64) * 255 / most_of(image)).astype(np.int16)
        forms = {
            "int8": lambda x: (x - 128).astype(np.int8),
            "uint8": lambda x: x.astype(np.uint8),
            "float32": lambda x: (x / 255).astype(np.float32),
        }
        interpreter.set_tensor(given["index"], forms[np.dtype(given["dtype"]).name](level))
        interpreter.invoke()
        found[image.name] = int(np.argmax(interpreter.get_tensor(taken["index"])))
    return found


def most_of(image: Path) -> int:
    """The level of ink in a PGM file."""
    return int(image.read_bytes().split()[3])


def answers(text: str) -> dict[str, int]:
    return {name: int(digit) for name, digit in ANSWER.findall(text)}


def test_every_firmware_of_the_promise_is_there() -> None:
    assert set(HOSTS) >= AS_IT_IS | NEED_A_VARIANT
    assert HOSTS["wasi-nn-witx"].provenance.known_by == "inferred"
    assert all(HOSTS[i].provenance.known_by == "measured" for i in (AS_IT_IS | NEED_A_VARIANT) - {"wasi-nn-witx"})


def test_one_bundle_serves_them_all(packed: Packed) -> None:
    assert packed.report["unserved"] == []
    served = {profile for variant in packed.report["variants"] for profile in variant["profiles"]}
    assert served == set(HOSTS)
    default = next(v for v in packed.report["variants"] if v["id"] == "default")
    assert set(default["profiles"]) == AS_IT_IS


@pytest.mark.parametrize(
    "profile",
    [pytest.param(p.id, id=f"{p.provenance.known_by}-{p.id}") for p in HOSTS.values() if p.backend == "litert"],
)
def test_the_variant_that_a_board_gets_is_right_on_all_held_out_images(
    packed: Packed, tmp_path: Path, profile: str
) -> None:
    device = f"emulated://raspberry-pi-4b?firmware={profile}&state={tmp_path / 'board'}"
    done = packed.lading("deploy", packed.path, device, "--json")
    (deployed,) = json.loads(done.stdout)["devices"]
    assert deployed["check"]["verdict"] == "ok"
    assert deployed["check"]["known_by"] == HOSTS[profile].provenance.known_by
    chosen = deployed["variant"]["chosen"]
    assert deployed["push"]["variant"] == chosen
    assert (chosen == "default") == (profile in AS_IT_IS)
    assert all(vector["ok"] for vector in deployed["push"]["golden"])
    with open_bundle(packed.path) as bundle:
        expected = reference(bundle, chosen)
        sent = set(bundle.bill.blobs(chosen))
    assert deployed["push"]["sent_blobs"] == len(sent)
    assert len(expected) == 100
    assert answers(deployed["run"]["stdout"]) == expected
    (entry,) = packed.lading.json("status", device)["apps"].values()
    assert entry["variant"] == chosen


def test_the_second_backend_is_right_too(packed: Packed, tmp_path: Path) -> None:
    python = os.environ.get("LADING_TFLITE_RUNTIME_PYTHON", "")
    if not python:
        reason = "LADING_TFLITE_RUNTIME_PYTHON names no Python with tflite-runtime"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    written: list[bytes] = []
    with open_bundle(packed.path) as bundle:
        subject = bundle_subject(bundle, tmp_path)
        spec = RunSpec(
            str(subject.module),
            HOSTS["lading-tflite-runtime"].resolved(),
            args=subject.args,
            dirs=subject.dirs,
            models=subject.models,
            limits=Limits(time_s=120),
            backend="tflite-runtime",
        )
        command = ["env", f"PYTHONPATH={TOOLKIT}", python, "-m", "lading_agent.nn.process"]
        result = supervise.run(
            spec,
            stdin=None,
            on_stdout=written.append,
            on_stderr=lambda _data: None,
            on_report=lambda _event: None,
            command=lambda _: command,
        )
        assert result.status == 0, result
        assert answers(b"".join(written).decode()) == reference(bundle, "default")


def test_the_matrix_shows_what_would_have_failed_without_a_variant(packed: Packed) -> None:
    document = packed.lading.json("matrix", packed.path)
    found = {document["places"][cell["place"]]["profile"]: cell for cell in document["cells"]}
    for profile in NEED_A_VARIANT:
        cell = found[profile]
        assert cell["state"] == "variant"
        assert cell["verdict"]["verdict"] == "ok"
        assert cell["without"]["verdict"] == "fails"
        assert cell["without"]["at"]["call"] in {"load_by_name", "set_input"}
        assert cell["reason"]
        assert cell["conversion"]
    for profile in AS_IT_IS:
        assert found[profile]["state"] == "ok"


def test_a_forced_variant_that_does_not_fit_is_refused_before_anything_is_sent(packed: Packed, tmp_path: Path) -> None:
    device = f"emulated://raspberry-pi-4b?firmware=wasmedge-0.17&state={tmp_path / 'board'}"
    done = packed.lading("deploy", packed.path, device, "--variant", "default", expect=1)
    assert "set_input (call 3): invalid_argument (1)" in done.err
    done = packed.lading("deploy", packed.path, device, "--variant", "nobody", expect=2)
    assert "no variant 'nobody'" in done.err
    assert packed.lading.json("status", device)["apps"] == {}
