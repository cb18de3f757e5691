"""Finding and reading TOML files that are data."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading import datafiles
from lading.errors import DataFileError
from lading.units import Size, format_memory, format_size, parse_size

if TYPE_CHECKING:
    from pathlib import Path


class Link(datafiles.Table, frozen=True):
    kind: str
    baud_rate: int = 115200
    parity: Literal["none", "even", "odd"] = "none"


class Ssh(datafiles.Table, frozen=True, tag_field="scheme", tag="ssh"):
    port: int = 22


class Serial(datafiles.Table, frozen=True, tag_field="scheme", tag="serial"):
    baud: int = 115200


class Thing(datafiles.Table, frozen=True):
    schema: int
    name: str
    memory: Size = Size(0)
    links: tuple[Link, ...] = ()
    ways: tuple[Ssh | Serial, ...] = ()
    vendor: dict[str, str] = msgspec.field(default_factory=dict)
    extra: Link | None = None


def read(**document: Any) -> Thing:
    return datafiles.decode({"schema": 1, "name": "n", **document}, Thing, where="thing.toml")


def refusal(**document: Any) -> DataFileError:
    with pytest.raises(DataFileError) as caught:
        read(**document)
    assert caught.value.remedy
    assert caught.value.message.startswith("thing.toml: ")
    return caught.value


def test_a_good_document_is_read_with_sizes_in_bytes() -> None:
    thing = read(memory="512MiB", links=[{"kind": "uart", "baud-rate": 9600}], extra={"kind": "spi"})
    assert thing.memory == 512 * 2**20
    assert thing.links == (Link(kind="uart", baud_rate=9600),)
    assert thing.extra == Link(kind="spi")


def test_an_unknown_key_is_refused_with_the_near_name() -> None:
    error = refusal(links=[{"kind": "uart", "baud-rat": 9600}])
    assert error.details["key"] == "links[0].baud-rat"
    assert "did you mean 'baud-rate'" in error.remedy


def test_vendor_keys_are_ignored_where_fields_are_named_but_kept_where_keys_are_data() -> None:
    thing = read(
        **{"x-mine": 1},
        links=[{"kind": "uart", "x-note": {"y": 2}}],
        vendor={"x-key": "kept"},
        extra={"kind": "a", "x-b": 1},
    )
    assert thing.links[0].kind == "uart"
    assert thing.vendor == {"x-key": "kept"}


def test_unknown_keys_are_found_in_the_table_that_a_tag_chooses() -> None:
    assert read(ways=[{"scheme": "ssh", "port": 2, "x-a": 1}, {"scheme": "serial"}]).ways == (Ssh(port=2), Serial())
    assert refusal(ways=[{"scheme": "ssh", "baud": 2}]).details["key"] == "ways[0].baud"
    assert refusal(ways=[{"scheme": "can"}]).details["key"].startswith("ways[0]")


def test_a_wrong_type_names_the_key() -> None:
    error = refusal(links=[{"kind": "uart", "baud-rate": "fast"}])
    assert error.details["key"] == "links[0].baud-rate"
    assert "expected 'int', got 'str'" in error.message
    assert error.remedy == "write a whole number, without quotes"


def test_a_value_that_is_not_one_of_a_few_is_refused_with_the_few() -> None:
    for error in (
        refusal(links=[{"kind": "uart", "parity": "odds"}]),
        refusal(extra={"kind": "uart", "parity": "odds"}),
    ):
        assert "'odds' is not known here" in error.message
        assert error.remedy == "known are even, none, odd"


def test_a_wrong_value_under_a_name_of_the_users_is_named() -> None:
    assert refusal(vendor={"a": "fine", "b": 1}).details["key"] == "vendor.b"


def test_a_missing_key_is_named() -> None:
    assert "missing required field 'kind'" in refusal(links=[{}]).message


@pytest.mark.parametrize("size", ["512 Mb/s", "12parsecs", "-1", "", "1.5", "0.3KiB", -1, True, 1.5, "9" * 30])
def test_a_wrong_unit_is_refused(size: object) -> None:
    assert refusal(memory=size).details["key"] == "memory"


@pytest.mark.parametrize(
    ("number", "words"),
    [(2, "update lading"), (0, "schema = 1"), ("1", "schema = 1"), (True, "schema = 1"), (None, "schema = 1")],
)
def test_another_schema_is_refused_by_number(number: object, words: str) -> None:
    error = refusal(schema=number)
    assert words in error.remedy
    assert error.details["key"] == "schema"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"schema = ", "is not TOML"),
        (b"\xff\xfe", "not UTF-8"),
        (b"a = " + b"[" * 20_000, "TOML|nested"),
        (b"#" * (datafiles.MOST_BYTES + 1), "longer than"),
        (b"schema = 1\nschema = 1", "is not TOML"),
    ],
)
def test_a_file_that_is_not_toml_is_refused_with_its_name(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(DataFileError, match=words) as caught:
        datafiles.load(path, Thing)
    assert str(path) in caught.value.message


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match=r"gone\.toml: cannot be read"):
        datafiles.load(tmp_path / "gone.toml", Thing)


def test_the_project_hides_the_user_who_hides_what_is_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project, user, shipped = tmp_path / "project", tmp_path / "user", tmp_path / "shipped"
    monkeypatch.setattr(datafiles, "user_config_dir", lambda: user)
    monkeypatch.setattr(datafiles, "shipped_dir", lambda kind: shipped / kind)
    for place, ids in ((project, "a"), (user, "ab"), (shipped, "abc")):
        (place / "targets").mkdir(parents=True)
        for id_ in ids:
            (place / "targets" / f"{id_}.toml").write_text("schema = 1\nname = 'n'\n")
    assert {f.id: f.origin for f in datafiles.search("targets", project).values()} == {
        "a": "project",
        "b": "user",
        "c": "shipped",
    }
    assert datafiles.search("targets")["a"].origin == "user"
    assert datafiles.search("other", project) == {}


def test_a_file_name_that_cannot_be_an_id_hinders_no_other(tmp_path: Path) -> None:
    (tmp_path / "kind").mkdir()
    for name in ("my board", "mine"):
        (tmp_path / "kind" / f"{name}.toml").touch()
    assert list(datafiles.search("kind", tmp_path)) == ["mine"]
    assert [error.message for error in datafiles.misnamed("kind", tmp_path)] == [
        f"{tmp_path}/kind/my board.toml: 'my board' cannot be the name of a kind file"
    ]
    with pytest.raises(DataFileError, match="my board"):
        datafiles.tell_misnamed("kind", tmp_path, None)
    with pytest.raises(DataFileError, match="my board"):
        datafiles.data_file(tmp_path / "kind" / "my board.toml", "kind", "user")


def test_files_that_cannot_be_used_are_told_of_or_an_error(tmp_path: Path) -> None:
    files = [datafiles.DataFile(id_, tmp_path / f"{id_}.toml", "user") for id_ in "ab"]
    files[1].path.write_text("x = 1")
    told: list[DataFileError] = []
    assert datafiles.usable(files, lambda file: datafiles.read_toml(file.path), told.append) == {"b": {"x": 1}}
    assert [error.message.partition(":")[0] for error in told] == [str(files[0].path)]
    with pytest.raises(DataFileError):
        datafiles.usable(files, lambda file: datafiles.read_toml(file.path), None)


@given(st.integers(0, 2**60))
def test_plain_numbers_are_sizes_in_bytes(count: int) -> None:
    assert parse_size(count) == parse_size(str(count) if count < 10**18 else count) == count


def test_sizes_are_shown_in_round_units() -> None:
    assert [format_size(n) for n in (0, 999, 1000, 1536, 39_800_000, 5 * 10**12)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "1.5 kB",
        "39.8 MB",
        "5000.0 GB",
    ]


def test_memory_is_shown_in_the_units_it_is_made_in() -> None:
    assert [format_memory(n) for n in (0, 1023, 1536, 512 * 2**20, 8 * 2**30)] == [
        "0 B",
        "1023 B",
        "1.5 KiB",
        "512 MiB",
        "8 GiB",
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(["schema", "name", "memory", "links", "ways", "vendor", "extra", "x-a", "other"])


@given(st.dictionaries(KEYS, JSON))
def test_any_document_is_read_or_refused(document: dict[str, Any]) -> None:
    try:
        thing = datafiles.decode(document, Thing, where="thing.toml")
    except DataFileError as error:
        assert error.remedy  # noqa: PT017
    else:
        assert msgspec.to_builtins(thing)["schema"] == 1


def test_files_are_read_by_many_threads_at_once() -> None:
    """In a process of its own, where every type is met for the first time: a crash would take the tests along."""
    script = """
import sys, threading
from concurrent.futures import ThreadPoolExecutor
from lading import profiles

sys.setswitchinterval(1e-6)
gate = threading.Barrier(8)

def read(_):
    gate.wait()
    return profiles.find("lading-litert").id

with ThreadPoolExecutor(8) as pool:
    assert set(pool.map(read, range(8))) == {"lading-litert"}
"""
    for _ in range(6):
        subprocess.run([sys.executable, "-c", script], check=True)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises(DataFileError, match="regular file"):
        datafiles.read_toml(tmp_path / "pipe.toml")
