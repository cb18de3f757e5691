"""The catalogue: what is shipped is what the runner works with, what a user adds counts, what is wrong is named."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import runpy
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lading import engines
from lading.engines import cache
from lading.engines.catalogue import NAMES, ordered
from lading.engines.installed import packages
from lading.engines.runner import symbols
from lading.errors import DataFileError, NoSuchEngine
from tests.support.examples import ROOT
from tests.support.wheels import Tiny

if TYPE_CHECKING:
    from lading.engines import Engine

SHIPPED = [e for e in engines.load_all() if e.origin == "shipped"]


@pytest.mark.parametrize("engine", SHIPPED, ids=lambda e: e.reference)
def test_every_shipped_engine_is_there_for_every_runner(engine: Engine) -> None:
    assert set(engine.architectures) == set(engines.ARCHITECTURES)
    for architecture in engine.architectures:
        wheel = engine.wheel(architecture)
        assert wheel.file.startswith(f"{engine.table.package.replace('-', '_')}-{engine.version}-")
        assert wheel.file.endswith(f"_{architecture}.whl")
        assert wheel.library.stripped_size < wheel.library.size < 4 * wheel.size
        assert engine.minimums(architecture)["architecture"] == architecture


@pytest.mark.parametrize("name", NAMES)
def test_there_are_several_versions_and_one_is_the_default(name: str) -> None:
    versions = [e for e in SHIPPED if e.name == name]
    assert len(versions) >= 2
    assert [e.table.default for e in versions].count(True) == 1
    assert engines.find(name) == versions[0]
    assert [ordered(e.version) for e in versions] == sorted((ordered(e.version) for e in versions), reverse=True)


@pytest.mark.parametrize("name", NAMES)
def test_the_runner_takes_the_releases_that_are_shipped(name: str) -> None:
    header = (ROOT / "toolkit" / "lading_runner" / f"{name}.h").read_text()
    releases = re.findall(rf'{name.upper()}_RELEASES "(.*)"', header)[0].split()
    assert all(e.version.startswith(tuple(releases)) for e in SHIPPED if e.name == name)


def test_the_list_of_what_the_runner_calls_is_that_of_its_sources() -> None:
    built = runpy.run_path(str(ROOT / "scripts" / "build-runner"))
    written = ROOT / "toolkit" / "lading_runner" / "bin" / "symbols.json"
    assert written.read_text() == built["symbols"](), "run scripts/build-runner"
    assert "wasmtime_module_new" in symbols("wasmtime")
    assert "LiteRtRunCompiledModel" in symbols("litert")


@pytest.mark.parametrize("name", NAMES)
def test_the_pinned_library_is_the_installed_one(name: str) -> None:
    machine = platform.machine()
    engine = engines.find(name)
    try:
        installed = importlib.metadata.distribution(engine.table.package)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{engine.table.package} is not installed")
    known = {e.version: e for e in SHIPPED if e.name == name}
    if installed.version not in known or machine not in engines.ARCHITECTURES:
        pytest.skip(f"{engine.table.package} {installed.version} on {machine} is not in the catalogue")
    library = known[installed.version].wheel(machine).library
    path = Path(str(installed.locate_file(library.member)))
    assert path.stat().st_size == library.size
    assert cache.sha256_of(path) == library.sha256
    (found,) = [f for f in packages() if f.name == name]
    assert (found.state, found.version) == ("known", installed.version)


@pytest.mark.parametrize("architecture", engines.ARCHITECTURES)
def test_the_runner_says_what_it_is_and_what_it_needs(architecture: str) -> None:
    runner = engines.runner_binary(architecture)
    assert (runner.name, runner.architecture) == ("runner", architecture)
    assert runner.digest == f"sha256:{cache.sha256_of(runner.library)}"
    assert runner.size == runner.library.stat().st_size
    assert ordered(runner.minimums["glibc"]) <= ordered("2.28")
    assert all(path.is_file() for path in runner.licences)
    needed = engines.minimums(architecture)
    assert needed["architecture"] == architecture
    assert "glibcxx" in needed


def test_what_there_is_no_runner_for_is_said() -> None:
    with pytest.raises(NoSuchEngine, match="no native runner for armv7l") as caught:
        engines.minimums("armv7l")
    assert "aarch64" in caught.value.remedy


def test_a_user_adds_an_engine_which_is_no_default(config: Path) -> None:
    Tiny().write(config)
    added = engines.find("wasmtime", "99.0.0")
    assert added.origin == "user"
    assert engines.find("wasmtime").version != "99.0.0"
    assert engines.choose({"wasmtime": "99.0.0"})[0] == added


@pytest.mark.parametrize(
    ("name", "version", "words"), [("v8", None, "no engine 'v8'"), ("wasmtime", "1.0", "wasmtime 1.0 is not in")]
)
def test_an_engine_that_is_not_known_is_named_with_those_that_are(name: str, version: str | None, words: str) -> None:
    with pytest.raises(NoSuchEngine, match=words) as caught:
        engines.find(name, version)
    assert caught.value.exit_status == 2
    assert "wasmtime" in caught.value.remedy
    with pytest.raises(NoSuchEngine):
        engines.choose({name: version or "1"})


WRONG = {
    "another name": ('version = "99.0.0"', 'version = "98.0.0"', "version", "wasmtime-98.0.0.toml"),
    "no hash": ('sha256 = "', 'sha256 = "x', "wheel[0].", ""),
    "a member that leads elsewhere": ('member = "wasmtime/', 'member = "../', "wheel[0].library.member", ""),
    "an absolute member": ('member = "wasmtime/', 'member = "/', "wheel[0].library.member", ""),
    "a file that is a path": ('file = "wasmtime-99', 'file = "../wasmtime-99', "wheel[0].file", ""),
    "another architecture": ('"x86_64"', '"armv7l"', "wheel[0].architecture", "aarch64"),
    "unknown key": ("[[wheel]]\n", '[[wheel]]\nmd5 = "0"\n', "wheel[0].md5", "known here"),
    "grows": ("stripped-size = ", "stripped-size = 9", "wheel[0].library.stripped-size", "only takes away"),
    "schema": ("schema = 1", "schema = 2", "schema 2", "update lading"),
    "version of glibc": ('glibc = "2.28"', 'glibc = "new"', "wheel[0].minimums.glibc", ""),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_entry_is_named_with_file_and_key(case: str, config: Path) -> None:
    old, new, key, remedy = WRONG[case]
    Tiny().write(config)
    path = config / "lading" / "engines" / "wasmtime-99.0.0.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(DataFileError, match=re.escape(str(path))) as caught:
        engines.load_all()
    assert key in caught.value.message
    assert remedy in caught.value.remedy


def test_a_wrong_entry_is_left_out_of_listings_and_stops_nobody_who_does_not_ask_for_it(config: Path) -> None:
    Tiny().write(config)
    path = config / "lading" / "engines" / "wasmtime-99.0.0.toml"
    path.write_text(path.read_text().replace("schema = 1", "schema = 2", 1))
    told: list[DataFileError] = []
    found = engines.load_all(skipped=told.append)
    assert len(found) >= 4
    assert [str(path) in error.message for error in told] == [True]
    assert engines.find("litert").name == "litert"
    with pytest.raises(DataFileError, match=re.escape(str(path))):
        engines.find("wasmtime")


def test_an_architecture_that_is_there_twice_is_named(config: Path) -> None:
    Tiny().write(config)
    path = config / "lading" / "engines" / "wasmtime-99.0.0.toml"
    text = path.read_text()
    path.write_text(text + text[text.index("[[wheel]]") :])
    with pytest.raises(DataFileError, match=r"wheel\[1\]\.architecture: 'x86_64' is there twice"):
        engines.load_all()


@pytest.mark.parametrize(
    ("older", "newer"), [("2.9", "2.28"), ("3.4.9", "3.4.30"), ("2.1.0rc1", "2.1.0"), ("49.0.0", "50.0.1")]
)
def test_versions_are_compared_by_their_numbers(older: str, newer: str) -> None:
    assert ordered(older) < ordered(newer)
