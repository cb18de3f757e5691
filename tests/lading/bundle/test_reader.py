from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lading.bundle import open_bundle, pack
from lading.errors import BundleError
from tests.support.projects import full_project, small_project

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def bundle_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pack(full_project(tmp_path_factory.mktemp("reader") / "project")).path


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch") / "spoiled.lading"


def refused(path: Path) -> bool:
    """Whether opening or verifying is refused."""
    try:
        with open_bundle(path) as bundle:
            bundle.verify()
    except BundleError:
        return True
    return False


def test_a_blob_is_a_seekable_file_of_its_own(bundle_path: Path) -> None:
    with open_bundle(bundle_path) as bundle:
        script = bundle.bill.dirs[0].files[-1]
        assert script.path == "sub/run.sh"
        with bundle.open_blob(script.digest) as one, bundle.open_blob(script.digest) as other:
            assert one.read() == b"#!/bin/sh\n" * 100
            assert one.read(1) == b""
            assert one.seek(-10, 2) == 990
            assert other.tell() == 0
            assert one.read(4) == b"#!/b"
            assert other.read(2) == b"#!"
            assert one.seek(5000) == 5000
            assert one.read() == b""


def test_every_listed_blob_can_be_opened(bundle_path: Path) -> None:
    with open_bundle(bundle_path) as bundle:
        assert set(bundle.bill.all_blobs()) < set(bundle.blobs)
        for digest, size in bundle.blobs.items():
            with bundle.open_blob(digest) as blob:
                assert len(blob.read()) == size


def test_an_unknown_blob_is_refused(bundle_path: Path) -> None:
    with open_bundle(bundle_path) as bundle, pytest.raises(BundleError, match="no blob"):
        bundle.open_blob("sha256:" + "0" * 64)


def test_a_closed_bundle_gives_nothing(bundle_path: Path) -> None:
    with open_bundle(bundle_path) as bundle:
        blob = bundle.open_blob(bundle.bill.variants[0].module.digest)
    with pytest.raises(ValueError, match="closed"):
        blob.read()


def test_verify_tells_how_far_it_is(bundle_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    with open_bundle(bundle_path) as bundle:
        bundle.verify(lambda done, total: seen.append((done, total)))
        assert seen[-1] == (sum(bundle.blobs.values()),) * 2


def test_one_flipped_bit_is_noticed_wherever_it_is(tmp_path: Path) -> None:
    # Every byte of the smallest bundle, one bit each: headers, padding, end mark, JSON, contents.
    path = pack(small_project(tmp_path / "p")).path
    content = path.read_bytes()
    dice = random.Random(1)
    with path.open("r+b", buffering=0) as file:
        for at, byte in enumerate(content):
            bit = 1 << dice.randrange(8)
            file.seek(at)
            file.write(bytes([byte ^ bit]))
            assert refused(path), f"byte {at} of {len(content)}, bit {bit}"
            file.seek(at)
            file.write(bytes([byte]))
    assert not refused(path)


@settings(max_examples=300)
@given(data=st.data())
def test_flipped_bits_are_noticed(bundle_path: Path, scratch: Path, data: st.DataObject) -> None:
    content = bytearray(bundle_path.read_bytes())
    bits = data.draw(st.sets(st.integers(0, len(content) * 8 - 1), min_size=1, max_size=4))
    for bit in bits:
        content[bit // 8] ^= 1 << bit % 8
    scratch.write_bytes(content)
    assert refused(scratch)


@settings(max_examples=150)
@given(data=st.data())
def test_truncations_are_noticed(bundle_path: Path, scratch: Path, data: st.DataObject) -> None:
    content = bundle_path.read_bytes()
    length = data.draw(st.integers(0, len(content) - 1))
    scratch.write_bytes(content[:length])
    assert refused(scratch)


@settings(max_examples=200)
@given(data=st.data())
def test_mutations_are_noticed(bundle_path: Path, scratch: Path, data: st.DataObject) -> None:
    content = bundle_path.read_bytes()
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(start, min(len(content), start + 2048)))
    patch = data.draw(
        st.binary(max_size=64)
        | st.just(b"")
        | st.integers(0, len(content) - 512).map(lambda at: content[at - at % 512 : at - at % 512 + 512])
    )
    spoiled = content[:start] + patch + content[end:]
    scratch.write_bytes(spoiled)
    assert refused(scratch) == (spoiled != content)


@settings(max_examples=100)
@given(noise=st.binary(max_size=3000))
def test_noise_is_refused(scratch: Path, noise: bytes) -> None:
    scratch.write_bytes(noise)
    assert refused(scratch)
