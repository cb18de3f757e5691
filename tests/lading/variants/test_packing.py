"""Variants on their way into a bundle: what is made for whom, the same bytes every time, and what is left alone."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from lading.bundle import open_bundle, pack
from lading.errors import LadingError, NameNotFound
from lading.project import load_project
from lading.trace import cache as traces
from lading.variants import kept
from lading.variants.packing import Packer, Report, Wanted
from tests.support import wat_guests
from tests.support.apps import write_app
from tests.support.examples import EXAMPLES
from tests.support.made_models import fully_connected

if TYPE_CHECKING:
    from pathlib import Path

    from lading_agent.bill import Bill


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "cache"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An f32 model, loaded by name."""
    return write_app(tmp_path / "app", wat_guests.infers("m", (1, 4)), models={"m": fully_connected(1, 4)})


def packed(project: Path, *names: str, **wanted: bool) -> tuple[Bill, Report, bytes]:
    packer = Packer(Wanted(names or None, **wanted))
    out = project.parent / "out.lading"
    result = pack(load_project(project), out, variants=packer)
    with open_bundle(out) as bundle:
        bundle.verify()
    return result.bill, packer.report, out.read_bytes()


def test_only_what_would_be_refused_gets_a_variant(project: Path) -> None:
    bill, report, _ = packed(project, "lading-litert", "wasmedge-0.17", "wamr-2.4")
    assert [v.id for v in bill.variants] == ["default", "wamr-2.4"]
    assert bill.variant().provides == {"profiles": ["lading-litert", "wasmedge-0.17"]}
    made = bill.variant("wamr-2.4")
    assert made.provides == {"profiles": ["wamr-2.4"]}
    assert made.models == bill.variant().models
    assert made.module != bill.variant().module
    assert made.needs["sizes"] == "bytes"
    assert made.needs["errno"]["too_large"] == 7
    assert {entry["what"] for entry in made.conversion} == {"guest"}
    assert report.unserved == ()


def test_firmwares_that_need_the_same_share_a_variant(project: Path) -> None:
    bill, _, _ = packed(project, "wamr-2.4-legacy", "wamr-main-legacy")
    assert [v.provides["profiles"] for v in bill.variants] == [[], ["wamr-2.4-legacy", "wamr-main-legacy"]]


def test_the_same_project_gives_the_same_bytes_with_and_without_a_cache(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, first = packed(project, "lading-litert", "wamr-2.3")
    _, _, again = packed(project, "lading-litert", "wamr-2.3")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another"))
    _, _, anew = packed(project, "wamr-2.3", "lading-litert")
    assert first == again == anew


def test_a_second_pack_runs_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bill, _, first = packed(project, "wamr-2.4")
    monkeypatch.setattr("lading.trace.record", None)
    monkeypatch.setattr("lading.variants.make.record", None)
    assert packed(project, "wamr-2.4")[2] == first
    assert all(traces.kept(bill, variant.id) is not None for variant in bill.variants)


def test_a_firmware_that_nothing_suits_is_told_with_what_is_missing(project: Path) -> None:
    bill, report, _ = packed(project, "wasmtime-witx")
    assert [v.id for v in bill.variants] == ["default"]
    (missing,) = report.unserved
    assert missing["profile"] == "wasmtime-witx"
    assert "load_by_name" in missing["reason"]
    assert missing["remedy"]


def test_a_guest_that_fails_is_packed_as_it_is_and_why_is_said(tmp_path: Path) -> None:
    project = write_app(tmp_path / "app", wat_guests.infers("nobody", (1, 4)), models={"m": fully_connected(1, 4)})
    bill, report, _ = packed(project, "wamr-2.4")
    assert [(v.id, v.needs, v.provides) for v in bill.variants] == [("default", {}, {})]
    assert "no variants: the guest came to no output" in report.note


def test_a_guest_without_wasi_nn_has_the_bill_that_it_would_have_without_variants(tmp_path: Path) -> None:
    project = write_app(tmp_path / "app", wat_guests.says("hello"))
    with_variants, report, _ = packed(project, "wamr-2.4")
    without, _, _ = packed(project, none=True)
    assert with_variants == without
    assert report.note == ""


def test_a_project_says_for_whom_it_wants_variants(project: Path) -> None:
    text = (project / "lading.toml").read_text()
    (project / "lading.toml").write_text(text + '[pack]\nfor = ["wamr-2.4"]\n')
    assert packed(project)[1].profiles == ("wamr-2.4",)
    (project / "lading.toml").write_text(text + "[pack]\nfor = []\n")
    assert [v.id for v in packed(project)[0].variants] == ["default"]
    (project / "lading.toml").write_text(text + '[pack]\nfor = ["no-such-board"]\n')
    with pytest.raises(NameNotFound):
        packed(project)


def test_what_is_missing_in_the_cache_is_made_anew_and_what_is_damaged_is_named(project: Path) -> None:
    _, _, first = packed(project, "wamr-2.4")
    contents = list((kept.cache_dir() / "contents").iterdir())
    assert len(contents) == 1
    contents[0].unlink()
    assert packed(project, "wamr-2.4")[2] == first
    contents[0].write_bytes(contents[0].read_bytes()[:-1] + b"?")
    with pytest.raises(LadingError, match="is damaged") as refused:
        packed(project, "wamr-2.4")
    assert str(kept.cache_dir()) in refused.value.remedy


def test_a_cache_that_cannot_be_written_is_no_error(project: Path, own_cache: Path) -> None:
    own_cache.write_text("in the way")
    assert [v.id for v in packed(project, "wamr-2.4")[0].variants] == ["default", "wamr-2.4"]


def test_two_versions_of_a_model_are_both_inside(tmp_path: Path) -> None:
    more = '[[model]]\nname = "m"\nversion = "2.0.0"\npath = "m.tflite"\n'
    project = write_app(
        tmp_path / "app", wat_guests.infers("m@2.0.0", (1, 4)), models={"m": fully_connected(1, 4)}, more=more
    )
    bill, report, _ = packed(project, "wamr-2.3")
    assert report.unserved == ()
    assert bill.variants[1].provides == {"profiles": ["wamr-2.3"]}


def test_a_microcontroller_that_takes_no_uint8_gets_int8(tmp_path: Path) -> None:
    digits = shutil.copytree(EXAMPLES / "digits", tmp_path / "digits", ignore=shutil.ignore_patterns("dist", "golden"))
    text = (digits / "lading.toml").read_text().partition("[[golden]]")[0]
    text = text.replace("digits_int8", "digits_uint8").replace(
        'args = ["images"]', 'args = ["--input", "uint8", "images"]'
    )
    (digits / "lading.toml").write_text(text)
    bill, report, _ = packed(digits, "tflm-int8")
    assert report.unserved == ()
    made = bill.variants[1]
    assert made.needs["tensors"] == {"digits": {"inputs": ["int8"], "outputs": ["int8"]}}
    assert made.needs["modules"] == ["wasi_ephemeral_nn"]
    assert made.provides == {"profiles": ["tflm-int8"]}


def test_a_firmware_of_the_projects_own_with_an_old_engine_gets_older_instructions(tmp_path: Path) -> None:
    body = """(if (call $load (i32.const 64) (i32.const 1) (i32.const 16)) (then (call $exit (i32.const 1))))
      (if (call $init (i32.load (i32.const 16)) (i32.const 20)) (then (call $exit (i32.const 2))))
      (if (call $compute (i32.load (i32.const 20))) (then (call $exit (i32.const 3))))
      (if (i32.ne (i32.extend8_s (i32.const 0x80)) (i32.const -128)) (then (call $exit (i32.const 4))))"""
    project = write_app(
        tmp_path / "app", wat_guests.guest(body, data=((64, b"m"),)), models={"m": fully_connected(1, 4)}
    )
    (project / "firmware_profiles").mkdir()
    (project / "firmware_profiles" / "old-engine.toml").write_text(
        'schema = 1\nextends = "wamr-2.4"\ntitle = "old"\n[provenance]\nknown-by = "declared"\nsource = "a test"\n'
        "[wasm.features]\nsign-extension = false\n"
    )
    bill, report, _ = packed(project, "old-engine")
    assert report.unserved == ()
    made = bill.variants[1]
    assert "sign-extension" in bill.variant().needs["features"]
    assert "sign-extension" not in made.needs["features"]
    assert any(entry["part"] == "sign-extension" for entry in made.conversion)


def test_large_models_are_not_put_into_guests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lading.variants.make.MOST_INSIDE", 100)
    project = write_app(tmp_path / "app", wat_guests.infers("m", (1, 4)), models={"m": fully_connected(1, 4)})
    bill, report, _ = packed(project, "wamr-2.4")
    assert [v.id for v in bill.variants] == ["default"]
    assert "too large for that" in report.unserved[0]["attempt"]
    assert "at most 100 bytes" in report.unserved[0]["remedy"]
