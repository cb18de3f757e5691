"""The folders of compiled guests: there when they are needed, gone when nobody needs them, never too much."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from lading_agent.engines.code import MOST_ENTRIES, CodeCache

if TYPE_CHECKING:
    from pathlib import Path


def name(number: int) -> str:
    return f"{number:064x}"


def filled(cache: CodeCache, number: int, sizes: list[int], used: float) -> Path:
    """A module's folder with entries, used at that time."""
    folder = cache.of(f"sha256:{name(number)}")
    assert folder is not None
    for i, size in enumerate(sizes):
        (folder / f"{i}.cwasm").write_bytes(bytes(size))
        os.utime(folder / f"{i}.cwasm", (used + i, used + i))
    os.utime(folder, (used, used))
    return folder


def test_a_folder_is_made_where_the_runner_will_use_it(tmp_path: Path) -> None:
    old = os.umask(0o002)
    try:
        folder = CodeCache(tmp_path / "home" / "cache" / "code").of(f"sha256:{name(7)}")
    finally:
        os.umask(old)
    assert folder is not None
    for made in (folder, folder.parent):
        assert stat.S_IMODE(made.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "digest", ["", "sha256:", f"md5:{name(1)}", f"sha256:{name(1)}/..", f"sha256:../{name(1)[3:]}"]
)
def test_only_a_digest_names_a_folder(digest: str, tmp_path: Path) -> None:
    assert CodeCache(tmp_path / "code").of(digest) is None
    assert not (tmp_path / "code").exists()


def test_where_no_folder_can_be_made_nothing_is_kept(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = CodeCache(tmp_path / "file" / "code")
    assert cache.of(f"sha256:{name(1)}") is None
    cache.keep(())
    cache.bound()


def test_what_nobody_needs_goes(tmp_path: Path) -> None:
    cache = CodeCache(tmp_path / "code")
    needed, other = filled(cache, 1, [10], 1e9), filled(cache, 2, [10], 1e9)
    (tmp_path / "code" / "readme").touch()
    cache.keep({name(1)})
    assert (needed / "0.cwasm").exists()
    assert not other.exists()
    assert (tmp_path / "code" / "readme").exists()


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    cache = CodeCache(tmp_path / "code", most_bytes=250)
    folders = [filled(cache, number, [100], 1e9 + number) for number in range(4)]
    cache.of(f"sha256:{name(0)}")
    cache.bound()
    assert [folder.exists() for folder in folders] == [True, False, False, True]


def test_a_module_keeps_its_newest_entries(tmp_path: Path) -> None:
    cache = CodeCache(tmp_path / "code")
    folder = filled(cache, 1, [10] * (MOST_ENTRIES + 3), 1e9)
    cache.bound()
    assert {path.name for path in folder.iterdir()} == {f"{i}.cwasm" for i in range(3, MOST_ENTRIES + 3)}
