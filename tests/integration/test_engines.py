"""``lading engines`` as it is used: listed, fetched where there is an index and where there is none, verified."""

from __future__ import annotations

import json
import os
import platform
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lading.engines import ARCHITECTURES
from lading.engines.installed import packages
from tests.support import wat_guests as guests
from tests.support.apps import write_app
from tests.support.examples import ROOT
from tests.support.wheels import FILE, LICENCE, MEMBER, TEXT, Index, Tiny, served, zipped

if TYPE_CHECKING:
    from tests.support.command import Done, Lading

KEYS: dict[str, list[str]] = json.loads((ROOT / "tests" / "data" / "json_keys.json").read_text())
ARCH = ("--arch", "x86_64")


@pytest.fixture
def tiny(lading: Lading) -> Tiny:
    """A small engine in the user's own catalogue; no index may be asked but the test's."""
    lading.env |= {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1"}
    return Tiny().write(lading.home / "config")


def pinned(done: Done, verb: str) -> None:
    assert done.json["schema"] == f"lading.{verb}/1"
    for key in KEYS[verb]:
        table, _, name = key.partition("[].")
        assert table in done.json
        assert not name or all(name in entry for entry in done.json[table]), key


def test_the_list_says_what_there_is(lading: Lading, tiny: Tiny) -> None:
    done = lading("engines", "list", "--json")
    pinned(done, "engines-list")
    ours = [e for e in done.json["engines"] if e["version"] == "99.0.0"]
    assert [(e["fetched"], e["installed"], e["origin"], e["default"]) for e in ours] == [(False, False, "user", False)]
    assert {e["architecture"] for e in done.json["engines"] if e["default"]} == set(ARCHITECTURES)
    shown = lading("engines").out
    assert "99.0.0" in shown
    assert "(default)" in shown


def test_fetched_from_an_index_and_carried_to_where_there_is_none(lading: Lading, tiny: Tiny, tmp_path: Path) -> None:
    with served(Index(tiny.wheel)) as index:
        lading.env |= {"PIP_NO_INDEX": "0", "PIP_INDEX_URL": f"{index.address}/simple"}
        done = lading("engines", "fetch", "wasmtime==99.0.0", *ARCH, "--to", tmp_path / "carried", "--json")
    pinned(done, "engines-fetch")
    assert done.json["fetched"][0]["wheel"] == str(tmp_path / "carried" / FILE)
    assert len(index.asked) == 1
    lading.env |= {"PIP_NO_INDEX": "1", "XDG_CACHE_HOME": str(tmp_path / "elsewhere")}
    again = lading("engines", "fetch", "wasmtime==99.0.0", *ARCH, "--from", tmp_path / "carried", "--json")
    assert again.json["fetched"][0]["digest"] == done.json["fetched"][0]["digest"]
    assert [e["fetched"] for e in lading("engines", "--json").json["engines"] if e["version"] == "99.0.0"] == [True]


def test_without_an_index_the_remedy_is_a_folder(lading: Lading, tiny: Tiny) -> None:
    done = lading("engines", "fetch", "wasmtime==99.0.0", *ARCH, "--json", expect=1)
    assert done.json["error"]["code"] == "engine-unreachable"
    assert "--from FOLDER" in done.json["error"]["remedy"]
    assert FILE in done.err


def test_what_is_damaged_is_named(lading: Lading, tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(tiny.wheel)
    library = lading("engines", "fetch", "wasmtime==99.0.0", *ARCH, "--from", tmp_path, "--json").json["fetched"][0]
    done = lading("engines", "verify", "--json")
    pinned(done, "engines-verify")
    assert [(e["from"], e["state"]) for e in done.json["engines"] if e["version"] == "99.0.0"] == [("cache", "known")]
    path = Path(library["library"])
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    damaged = lading("engines", "verify", expect=1)
    assert library["library"] in damaged.err
    assert "lading engines fetch" in damaged.err


def test_the_installed_packages_are_looked_at(lading: Lading, tiny: Tiny) -> None:
    if platform.machine() not in ARCHITECTURES:
        pytest.skip("there is no runner for this machine")
    found = json.loads(lading("engines", "verify", "--json").stdout)["engines"]
    assert {e["name"] for e in found if e["from"] == "package"} == {"wasmtime", "litert"}
    assert all(e["state"] in ("known", "unknown") for e in found)


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (("v8",), "no engine 'v8'"),
        (("wasmtime==1.0",), "wasmtime 1.0 is not in the catalogue"),
        (("--arch", "armv7l"), "no native runner for armv7l"),
        (("--arch", "aarch64", "--all"), "different things"),
        (("wasmtime==99.0.0", "--arch", "aarch64"), "no wasmtime 99.0.0 for aarch64"),
    ],
)
def test_wrong_use_is_said(lading: Lading, tiny: Tiny, words: tuple[str, ...], cause: str) -> None:
    assert cause in lading("engines", "fetch", *words, expect=2).err


def test_an_app_runs_on_the_engines_that_it_asks_for_or_not_at_all(
    lading: Lading, board: str, store: Path, tmp_path: Path
) -> None:
    """The installed library once more, as another version's: what asks for it needs it to be fetched."""
    engine = next((f for f in packages() if f.name == "wasmtime"), None)
    if engine is None or not engine.version.startswith("50.") or engine.architecture != "x86_64":
        pytest.skip("the installed wasmtime is not one of those that the runner takes")
    lading.env |= {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1"}
    library = engine.path.read_bytes()
    wheel = zipped([(LICENCE, TEXT), (MEMBER, library)], zipfile.ZIP_STORED)
    folder = lading.home / "config" / "lading" / "engines"
    folder.mkdir(parents=True)
    toml = (
        Tiny(library, wheel).toml().replace("99.0.0", "50.99.0").replace(LICENCE.replace("99.0.0", "50.99.0"), LICENCE)
    )
    (folder / "wasmtime-50.99.0.toml").write_text(toml)
    project = write_app(tmp_path / "app", guests.exits(7))
    (project / "lading.toml").write_text((project / "lading.toml").read_text() + '\n[engines]\nwasmtime = "50.99.0"\n')
    refused = lading("push", project, board, "--json", expect=1)
    assert refused.json["devices"][0]["error"]["code"] == "engine-missing"
    assert "lading engines fetch wasmtime==50.99.0" in refused.err
    assert not list((store / "blobs" / "sha256").glob("*"))
    carried = tmp_path / "carried"
    carried.mkdir()
    (carried / FILE.replace("99.0.0", "50.99.0")).write_bytes(wheel)
    lading("engines", "fetch", "wasmtime==50.99.0", *ARCH, "--from", carried)
    lading("push", project, board)
    ran = lading("run", board, "--json", expect=7)
    assert "wasmtime 50.99.0" in ran.json["metrics"]["runtime"]
