"""Engines of the store: side by side, one set the default, and nothing of them believed that was written by others."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading_agent.engines.parts import EngineMissing
from lading_agent.engines.stored import NAMES, Part, StoredEngines
from lading_agent.errors import AgentError
from lading_agent.store.collect import drop_unneeded
from lading_agent.store.layout import Layout

if TYPE_CHECKING:
    from pathlib import Path


def put(layout: Layout, data: bytes) -> tuple[str, int]:
    """Put content into the store."""
    digest = hashlib.sha256(data).hexdigest()
    (layout.blobs / digest).write_bytes(data)
    return f"sha256:{digest}", len(data)


def a_set(layout: Layout, version: str) -> dict[str, Part]:
    """A set of parts of one version, whose files are there."""
    licence = put(layout, b"licence")
    return {
        name: Part(name, version, "x86_64", put(layout, f"{name} {version}".encode()), (licence,), {"glibc": "2.28"})
        for name in NAMES
    }


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "home")
    made.prepare()
    return made


def test_the_last_set_is_the_default_and_the_one_before_can_be_gone_back_to(layout: Layout) -> None:
    stored = StoredEngines(layout)
    with pytest.raises(EngineMissing, match="no engines"):
        stored.find()
    for version in ("1.0", "2.0"):
        stored.record(a_set(layout, version))
    found = stored.find()
    assert [file.version for file in found.files] == ["2.0"] * 3
    assert found.wasmtime.path.read_bytes() == b"wasmtime 2.0"
    stored.roll_back()
    assert [file.version for file in stored.find().files] == ["1.0"] * 3
    stored.roll_back()
    assert [file.version for file in stored.find().files] == ["2.0"] * 3


def test_without_an_earlier_set_there_is_nothing_to_go_back_to(layout: Layout) -> None:
    stored = StoredEngines(layout)
    with pytest.raises(AgentError, match="no earlier set"):
        stored.roll_back()
    stored.record(a_set(layout, "1.0"))
    stored.record(a_set(layout, "1.0"))
    with pytest.raises(AgentError, match="no earlier set"):
        stored.roll_back()


def test_another_version_of_one_engine_is_found_beside_the_default(layout: Layout) -> None:
    stored = StoredEngines(layout)
    for version in ("1.0", "2.0", "3.0"):
        stored.record(a_set(layout, version))
    found = stored.find({"litert": "1.0"})
    assert (found.runner.version, found.wasmtime.version, found.litert.version) == ("3.0", "3.0", "1.0")
    with pytest.raises(EngineMissing, match=r"litert 9\.9"):
        stored.find({"litert": "9.9"})
    with pytest.raises(EngineMissing):
        stored.find({"litert": "../../device"})


def test_collecting_leaves_engines_alone_until_they_are_forgotten(layout: Layout) -> None:
    stored = StoredEngines(layout)
    for version in ("1.0", "2.0", "3.0"):
        stored.record(a_set(layout, version))
    assert drop_unneeded(layout).blobs == 0
    gone = stored.forget([{"litert": "1.0"}])
    assert sorted((part.name, part.version) for part in gone) == [("runner", "1.0"), ("wasmtime", "1.0")]
    assert drop_unneeded(layout).blobs == 2
    assert stored.find({"litert": "1.0"}).litert.path.is_file()


def test_a_missing_or_shortened_file_is_named(layout: Layout) -> None:
    stored = StoredEngines(layout)
    stored.record(a_set(layout, "1.0"))
    litert = stored.find().litert.path
    litert.write_bytes(b"short")
    with pytest.raises(EngineMissing, match=r"litert 1\.0 has 5 bytes"):
        stored.find()
    litert.unlink()
    with pytest.raises(EngineMissing, match=r"litert 1\.0 is gone"):
        stored.find()


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"parts":[1]}', b'{"parts":[]}', b"\xff", b"[" * 100_000])
def test_a_spoilt_record_is_no_record(layout: Layout, text: bytes) -> None:
    stored = StoredEngines(layout)
    stored.record(a_set(layout, "1.0"))
    (stored.folder / "current.json").write_bytes(text)
    (stored.folder / "litert-1.0.json").write_bytes(text)
    assert stored.default() is None
    assert {part.name for part in stored.parts()} == {"runner", "wasmtime"}
    stored.record(a_set(layout, "2.0"))
    assert stored.find().litert.version == "2.0"


GOOD = Part("litert", "2.3.0", "x86_64", ("sha256:" + "0" * 64, 7), (("sha256:" + "1" * 64, 3),), {"glibc": "2.27"})


def test_a_part_survives_its_document() -> None:
    assert Part.from_json(json.loads(json.dumps(GOOD.to_json()))) == GOOD


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"name": "other"},
        {"name": ["litert"]},
        {"version": "../1"},
        {"version": ""},
        {"architecture": "x/y"},
        {"library": None},
        {"library": {"digest": "sha256:0", "size": 1}},
        {"library": {"digest": GOOD.library[0], "size": -1}},
        {"library": {"digest": GOOD.library[0], "size": True}},
        {"licences": {}},
        {"licences": [None]},
        {"minimums": []},
    ],
)
def test_a_part_that_is_none_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        Part.from_json({**GOOD.to_json(), **change})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(list(GOOD.to_json())), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(json_values, st.sampled_from(list(GOOD.to_json())))
def test_whatever_a_part_says_is_a_part_or_refused(value: Any, key: str) -> None:
    for doc in (value, {**GOOD.to_json(), key: value}):
        try:
            part = Part.from_json(doc)
        except ValueError:
            continue
        assert replace(part) == part
        assert part.name in NAMES
