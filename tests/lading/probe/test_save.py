"""A profile made of a probe loads, foretells what was seen, and says what it does not explain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lading import profiles
from lading.probe.compare import differences
from lading.probe.fit import expected, fits
from lading.probe.measure import measure
from lading.probe.observed import explore
from lading.probe.prober import Probed
from lading.probe.save import CannotSave, save
from lading.probe.suite import presence
from lading.probe.toml import write
from tests.support.misbehaving import Misbehaving

if TYPE_CHECKING:
    from pathlib import Path

    from lading.probe.observed import ItemResult
    from lading.probe.script import RawCall

SHIPPED = profiles.load_all()
HOSTS = {id_: profile for id_, profile in SHIPPED.items() if profile.runs_guests}


def probed_from(results: dict[str, ItemResult], like: str, without: str = "") -> Probed:
    profile = HOSTS[like]
    assert profile.abi is not None
    modules = tuple(profile.abi.modules)
    others = {id_: p for id_, p in SHIPPED.items() if id_ != without}
    return Probed(
        device="emulated://x",
        emulated=True,
        facts={},
        target={},
        profile=profile.resolved(),
        unsafe=True,
        results=results,
        modules=modules,
        measured=measure(results, modules[0]),
        fits=tuple(fits(results, others, modules, unsafe=True, named=True)),
    )


@pytest.mark.parametrize("id_", HOSTS)
def test_a_known_firmware_saves_as_itself(id_: str, tmp_path: Path) -> None:
    abi = HOSTS[id_].abi
    assert abi is not None
    results = expected(HOSTS[id_].resolved(), abi.modules, unsafe=True, named=True)
    path = tmp_path / "mine.toml"
    assert save(probed_from(results, id_), "mine", path) == []
    saved = profiles.load_file(path)
    assert saved.provenance.known_by == "measured"
    assert differences(expected(saved.resolved(), abi.modules, unsafe=True, named=True), results) == []


def test_an_unknown_firmware_is_explained_by_changes_of_the_nearest(tmp_path: Path) -> None:
    def change(call: RawCall, errno: int) -> int:
        if call.function == "get_output" and errno == 7:
            return 42
        return 3 if call.function == "set_input" and "fewer" in call.note else errno

    runtime = Misbehaving(HOSTS["wasmedge-main"].resolved(), change)
    from lading.probe.fit import cases_for

    results = explore([*presence(), *cases_for(["wasi_ephemeral_nn"])], runtime, unsafe=True)
    probed = probed_from(results, "wasmedge-main")
    assert probed.fitting == []
    assert probed.nearest is not None
    assert probed.nearest.profile == "wasmedge-main"
    path = tmp_path / "mine.toml"
    assert save(probed, "mine", path) == []
    saved = profiles.load_file(path)
    assert saved.extends == "wasmedge-main"
    assert saved.abi is not None
    assert saved.abi.errno["errno-42"] == 42


@pytest.mark.parametrize("id_", sorted(HOSTS))
def test_a_firmware_that_nobody_knows_yet_still_saves_and_names_what_is_left(id_: str, tmp_path: Path) -> None:
    abi = HOSTS[id_].abi
    assert abi is not None
    results = expected(HOSTS[id_].resolved(), abi.modules, unsafe=True, named=True)
    probed = probed_from(results, id_, without=id_)
    assert probed.nearest is not None
    path = tmp_path / "mine.toml"
    left = save(probed, "mine", path)
    saved = profiles.load_file(path)
    assert len(left) <= len(probed.nearest.differences)
    assert f"{len(left)} unexplained" in saved.provenance.source
    assert ("x-unexplained" in path.read_text(encoding="utf-8")) == bool(left)


def test_a_device_that_runs_no_guests_cannot_be_saved(tmp_path: Path) -> None:
    probed = Probed("x", True, {}, {}, SHIPPED["tflm-int8"].resolved(), False)
    with pytest.raises(CannotSave, match="no guest could be measured"):
        save(probed, "mine", tmp_path / "mine.toml")
    assert list(tmp_path.iterdir()) == []


def test_toml_is_read_back_as_it_was_written() -> None:
    import tomllib

    document = {
        "schema": 1,
        "text": 'a "quoted" \\ line\nand é \x7f',
        "a": {"b": {"c-d": [1, 2], "5": "x"}, "t": True, "f": 0.5},
        "rows": [{"k": "v", "n": [{"m": 1}]}],
        "empty": {},
    }
    assert tomllib.loads(write(document)) == document
