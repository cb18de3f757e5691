"""A probe of an emulated board measures exactly what the replayed firmware profile says; over every shipped profile."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lading import profiles
from lading.client import connect
from lading.devices import resolve
from lading.probe.fit import expected
from lading.probe.measure import measure
from lading.probe.prober import probe
from lading.probe.prologues import ENCODINGS, MANY, TARGETS
from lading.probe.report import report
from lading_agent.nn.rules import CodeTable
from lading_agent.runs.spec import Limits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lading.probe.prober import Probed
    from lading.profiles import FirmwareProfile

TOOLKIT = Path(__file__).parents[2] / "toolkit"
SECOND_BACKEND = "LADING_TFLITE_RUNTIME_PYTHON"
SHIPPED = profiles.load_all()
HOSTS = [id_ for id_, profile in SHIPPED.items() if profile.runs_guests]
OTHERS = [id_ for id_, profile in SHIPPED.items() if not profile.runs_guests]


def probed(id_: str, tmp_path: Path) -> Probed:
    command: Sequence[str] | None = None
    if SHIPPED[id_].backend == "tflite-runtime":
        python = os.environ.get(SECOND_BACKEND, "")
        if not python:
            if os.environ.get("CI") == "true":
                pytest.fail(f"{SECOND_BACKEND} names no Python with tflite-runtime")
            pytest.skip(f"{SECOND_BACKEND} names no Python with tflite-runtime")
        command = ["env", f"PYTHONPATH={TOOLKIT}", python, "-m", "lading_agent"]
    device = resolve(f"emulated://x86-64?firmware={id_}&state={tmp_path / 'device'}")
    with connect(device, command=command) as session:
        found = probe(session, str(device), unsafe=True)
        assert session.status()["apps"] == {}, "a probe leaves nothing on the device"
    return found


@pytest.mark.parametrize("id_", HOSTS)
def test_a_probe_measures_exactly_the_profile(id_: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile = SHIPPED[id_]
    found = probed(id_, tmp_path)

    assert found.nearest is not None
    assert [d.to_json() for d in found.nearest.differences] == []
    assert found.fitting[0] == id_
    foretold = measure(expected(profile.resolved(), found.modules, unsafe=True, named=True), found.modules[0])
    assert found.measured == foretold
    _agrees_with_the_file(found, profile)

    document = report(found)
    assert {document["soft"][key]["known_by"] for key in ("tensor_types", "encodings", "inputs", "limits")} == {
        "measured"
    }
    with capsys.disabled():
        sys.stdout.write(f"\n{id_}: {found.guests} guests, {len(found.results)} items, 0 of them differ\n")


def _agrees_with_the_file(found: Probed, profile: FirmwareProfile) -> None:
    """What a file says in so many words, held against what was seen without the decision core between them."""
    assert profile.abi is not None
    assert profile.encodings is not None
    seen = found.measured
    document = profile.resolved()
    assert seen["modules"] == profile.abi.modules
    assert set(seen["functions"]) == set(profile.functions) - {"exit"}
    assert seen["link"] == {"unknown_import": profile.link.unknown_import, "wasi": profile.link.wasi}
    assert seen["statuses"]["trap"] == profile.statuses.trap
    assert seen["statuses"]["invalid_module"] == profile.statuses.invalid_module
    for name, code in seen["tensor_types"].items():
        assert profile.abi.tensor_types[name] == code
    for feature, taken in profile.wasm.features.items():
        assert seen["wasm"].get(feature, taken) == taken

    outcomes = {**profile.abi.errno, "trap": "trap", "abort": "abort", "segv": "segv"}
    looked_at_once = not any(step["step"] == "encoding-is" for step in profile.functions["load"])
    if looked_at_once:
        table = CodeTable(document["abi"]["encodings"], document["encodings"], "encoding")
        assert seen["encodings"] == {str(n): outcomes[table.answer(n)[0]] for n in ENCODINGS}
    table = CodeTable(document["abi"]["targets"], document["targets"], "target")
    if seen["encodings"]["4"] == 0:  # a host that takes no TFLite says no before it looks at the target
        assert seen["targets"] == {str(n): outcomes[table.answer(n)[0]] for n in TARGETS}

    for name, run in (("graphs", Limits().graphs), ("contexts", Limits().contexts)):
        own = document["limits"].get(name)
        starts_over = any(step["step"] == "start-over" for step in profile.functions["load"])
        if own is not None and own < min(run, MANY) and not starts_over:
            assert seen["limits"][name]["given"] == own


@pytest.mark.parametrize("id_", OTHERS)
def test_a_firmware_that_runs_no_guests_stays_declared_and_says_so(id_: str, tmp_path: Path) -> None:
    found = probed(id_, tmp_path)
    document = report(found)
    assert document["probe"]["guests"] == 0
    assert document["profile"] == {
        "declared": id_,
        "fits": [],
        "nearest": None,
        "compared": 0,
        "differences": [],
    }
    entries = [e for part in ("facts", "structural", "soft") for e in document[part].values()]
    assert {e["known_by"] for e in entries} == {"declared"}
    assert all(e["evidence"] for e in entries)
