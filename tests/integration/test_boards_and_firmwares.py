"""``lading targets`` and ``lading profiles``, through the command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.examples import EXAMPLES, ROOT

if TYPE_CHECKING:
    from tests.support.command import Lading


def test_targets_are_listed_and_shown(lading: Lading) -> None:
    listed = lading.json("targets", "list")
    assert listed["schema"] == "lading.targets-list/1"
    assert lading.json("targets")["targets"] == listed["targets"]
    assert len(listed["targets"]) >= 16
    assert lading.json("targets", "show", "raspberry-pi-4")["target"]["id"] == "raspberry-pi-4b"
    assert "Raspberry Pi 4" in lading("targets", "show", "raspberry-pi-4b").out
    assert "beaglebone" in lading("targets", "list").out


def test_a_name_that_nothing_has_gets_the_near_ones(lading: Lading) -> None:
    missed = lading("profiles", "show", "wasmegde-0.17", expect=2)
    assert "wasmedge-0.17" in missed.err
    assert lading.json("targets", "show", "nothing", expect=2)["error"]["message"]


def test_profiles_are_listed_with_how_they_are_known(lading: Lading) -> None:
    listed = lading.json("profiles", "list")
    known = {p["id"]: (p["known_by"], p["emulated"]) for p in listed["profiles"]}
    assert known["wasmedge-0.17"] == ("measured", True)
    assert known["wasmtime-wit"] == ("inferred", False)
    assert known["tflm-int8"] == ("inferred", False)
    assert "WasmEdge" in lading("profiles", "list").out


def test_a_profile_shows_every_step_with_its_errno(lading: Lading) -> None:
    shown = lading("profiles", "show", "wasmedge-0.14").out
    assert "u8 2" in shown
    assert "graph-slot, fail = segv" in shown
    assert "known crash (segv)" in shown
    assert lading.json("profiles", "show", "wasmedge-0.14")["profile"]["abi"]["tensor_types"]["u8"] == 2


def test_two_profiles_are_compared(lading: Lading) -> None:
    found = lading.json("profiles", "diff", "wasmedge-0.17", "wasmedge-0.14")
    assert {"key": "abi.tensor_types.u8", "left": 3, "right": 2} in found["differences"]
    assert "behave alike" in lading("profiles", "diff", "wasmedge-main", "wasmedge-main").out


def test_a_wrong_profile_file_is_named_with_key_and_remedy(lading: Lading) -> None:
    good, bad = lading.cwd / "good.toml", lading.cwd / "bad.toml"
    good.write_text('schema = 1\nextends = "wasmedge-0.17"\ntitle = "mine"\n[limits]\ngraphs = 2\n')
    bad.write_text('schema = 1\nextends = "wasmedge-0.17"\ntitle = "mine"\n[limits]\ngrahps = 2\n')
    assert "valid" in lading("profiles", "validate", good).out
    checked = lading.json("profiles", "validate", good, bad, expect=2)["files"]
    assert [entry["valid"] for entry in checked] == [True, False]
    assert "grahps" in checked[1]["error"]["message"]
    assert checked[1]["error"]["remedy"]


def test_a_project_s_own_profile_comes_first(lading: Lading) -> None:
    folder = lading.cwd / "firmware_profiles"
    folder.mkdir()
    (folder / "wasmedge-main.toml").write_text('schema = 1\nextends = "lading-litert"\ntitle = "ours"\n')
    listed = {p["id"]: p for p in lading.json("profiles", "list")["profiles"]}
    assert listed["wasmedge-main"]["origin"] == "project"
    assert listed["wasmedge-main"]["title"] == "ours"


def _user_files(lading: Lading, kind: str, **files: str) -> None:
    folder = lading.home / "config" / "lading" / kind
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / f"{name.replace('_', ' ')}.toml").write_text(text)


def test_one_bad_profile_of_the_user_s_stops_nobody_who_did_not_ask_for_it(lading: Lading) -> None:
    _user_files(
        lading, "firmware_profiles", broken="schema = 1\nextends = 'wamr-2.4'\ngraphz = 3\n", my_own="schema = 1"
    )
    listed = lading("profiles", "list", "--json")
    assert listed.status == 0
    ids = {p["id"] for p in listed.json["profiles"]}
    assert "wamr-2.4" in ids
    assert "broken" not in ids
    for words in (["profiles"], ["check", EXAMPLES / "digits", "--on", "all"], ["probe", "emulated://x86-64"]):
        said = lading(*words).err
        assert "broken.toml: graphz: unknown key" in said, words
        assert "remedy: known here: " in said or "did you mean" in said
        assert "my own.toml: 'my own' cannot be the name" in said
    assert lading("profiles", "show", "wamr-1").err == "", "a prefix of another"
    for words in (["profiles", "show", "broken"], ["check", EXAMPLES / "digits", "--on", "broken"]):
        assert "graphz" in lading(*words, expect=2).err
    lading("profiles", "validate", lading.home / "config/lading/firmware_profiles/broken.toml", expect=2)
    lading("profiles", "validate", lading.home / "config/lading/firmware_profiles/my own.toml", expect=2)


def test_a_bad_profile_that_hides_the_host_of_recordings_stops_no_check(lading: Lading) -> None:
    _user_files(lading, "firmware_profiles", **{"lading-litert": "not toml"})
    done = lading("check", EXAMPLES / "digits", "--on", "all", expect=0)
    assert "lading-litert.toml: is not TOML" in done.err
    assert "lading-tflite-runtime  ok" in done.out


def test_one_bad_target_of_the_user_s_stops_nobody_who_did_not_ask_for_it(lading: Lading) -> None:
    _user_files(lading, "targets", broken="schema = 1\n", my_board="schema = 1")
    done = lading("targets")
    assert "raspberry-pi-4b" in done.out
    assert "broken.toml" in done.err
    assert "my board.toml" in done.err
    assert lading("targets", "show", "raspberry-pi-4").err == ""
    lading("targets", "show", "broken", expect=2)


@pytest.mark.parametrize("kind", ["targets", "profiles"])
def test_in_the_source_tree_what_is_shipped_is_called_so(lading: Lading, kind: str) -> None:
    lading.cwd = ROOT
    assert {entry["origin"] for entry in lading.json(kind)[kind]} == {"shipped"}


def test_a_profile_tells_an_encoding_that_its_loader_refuses(lading: Lading) -> None:
    assert "call-indirect-overlong no" in lading("profiles", "show", "wamr-1.3-legacy").out
    differences = lading.json("profiles", "diff", "wamr-1.3-legacy", "wamr-2.3-legacy")["differences"]
    assert any("call-indirect-overlong" in d["key"] and d["left"] is False for d in differences)
