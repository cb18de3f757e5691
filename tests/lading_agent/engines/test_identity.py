"""Engines: a file is known by its content, read again only when it changed or is doubted."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING

import pytest

from lading_agent.engines import identity
from lading_agent.engines.identity import FILE, Identities, check, digest_of, first_damaged
from lading_agent.engines.parts import EngineDamaged, EngineFile, EngineMissing, EngineSet

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are read from now on."""
    seen: list[Path] = []

    def counted(path: Path) -> str:
        seen.append(path)
        return digest_of(path)

    monkeypatch.setattr(identity, "digest_of", counted)
    return seen


@pytest.fixture
def engines(tmp_path: Path) -> EngineSet:
    def file(name: str) -> EngineFile:
        path = tmp_path / name
        path.write_bytes(name.encode() * 1000)
        return EngineFile(name, "1.0", path, digest_of(path))

    return EngineSet(file("runner"), file("wasmtime"), file("litert"))


def flip_silently(path: Path) -> None:
    """One bit of content changes, and nothing that tells of it: as a worn medium does it."""
    about = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def test_an_unchanged_file_is_read_once(tmp_path: Path, engines: EngineSet, reads: list[Path]) -> None:
    check(engines, Identities(tmp_path / "cache"))
    check(engines, Identities(tmp_path / "cache"))
    assert reads == [file.path for file in engines.files]


def test_an_edited_file_is_damaged_and_a_mended_one_is_not(tmp_path: Path, engines: EngineSet) -> None:
    identities = Identities(tmp_path / "cache")
    check(engines, identities)
    good = engines.litert.path.read_bytes()
    flip_silently(engines.litert.path)
    with pytest.raises(EngineDamaged, match=r"engine damaged: litert 1\.0 is not what was installed"):
        check(engines, identities)
    engines.litert.path.write_bytes(good)
    check(engines, identities)


def test_what_the_medium_lost_is_found_when_the_files_are_doubted(
    tmp_path: Path, engines: EngineSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "state_of", lambda path: [path.stat().st_size, 0, 0, 0])
    identities = Identities(tmp_path / "cache")
    check(engines, identities)
    flip_silently(engines.wasmtime.path)
    check(engines, identities)
    assert first_damaged(engines, identities) == engines.wasmtime
    with pytest.raises(EngineDamaged):
        check(engines, Identities(tmp_path / "cache"))


def test_whole_files_are_not_blamed(tmp_path: Path, engines: EngineSet) -> None:
    assert first_damaged(engines, Identities(tmp_path / "cache")) is None
    gone = dataclasses.replace(engines.litert, path=tmp_path / "gone")
    assert first_damaged(dataclasses.replace(engines, litert=gone), Identities()) is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"schema": 1}', '{"schema": 2, "files": {}}', '{"schema":1,"files":{"a":1}}', "[" * 5000]
)
def test_a_damaged_memory_is_no_memory(tmp_path: Path, engines: EngineSet, text: str, reads: list[Path]) -> None:
    (tmp_path / FILE).write_text(text)
    assert Identities(tmp_path).digest(engines.runner.path) == engines.runner.digest
    assert reads == [engines.runner.path]
    Identities(tmp_path).digest(engines.runner.path)
    assert reads == [engines.runner.path]


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path, engines: EngineSet) -> None:
    (tmp_path / "file").touch()
    check(engines, Identities(tmp_path / "file" / "cache"))


def test_the_memory_does_not_grow_for_ever(tmp_path: Path) -> None:
    identities = Identities(tmp_path / "cache")
    for number in range(identity.MOST_REMEMBERED + 20):
        path = tmp_path / str(number)
        path.write_bytes(b"x")
        identities.digest(path)
    assert len(identity._read(tmp_path / "cache" / FILE)) == identity.MOST_REMEMBERED


def test_missing_is_not_damaged() -> None:
    assert not issubclass(EngineMissing, EngineDamaged)
