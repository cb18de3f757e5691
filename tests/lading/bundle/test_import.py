from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lading.bundle import import_bundle, media, pack
from lading.errors import BundleError
from tests.support.projects import full_project
from tests.support.tars import Part, link, put_together, shuffled_tar, take_apart

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pack(full_project(tmp_path_factory.mktemp("import") / "project")).path


@pytest.fixture
def parts(original: Path) -> list[Part]:
    return take_apart(original)


def write_layout(folder: Path, parts: list[Part]) -> Path:
    for part in parts:
        (folder / part.name).parent.mkdir(parents=True, exist_ok=True)
        (folder / part.name).write_bytes(part.content)
    return folder


def imported(tmp_path: Path, content: bytes) -> bytes:
    source = tmp_path / "foreign.tar"
    source.write_bytes(content)
    return import_bundle(source, tmp_path / "made.lading").path.read_bytes()


def refused(tmp_path: Path, content: bytes, words: str) -> None:
    source = tmp_path / "foreign.tar"
    source.write_bytes(content)
    with pytest.raises(BundleError, match=words) as caught:
        import_bundle(source, tmp_path / "made.lading")
    assert caught.value.remedy
    assert sorted(p.name for p in tmp_path.iterdir()) == ["foreign.tar"]


def test_a_bundle_imports_as_itself(tmp_path: Path, original: Path) -> None:
    assert imported(tmp_path, original.read_bytes()) == original.read_bytes()


@pytest.mark.parametrize("prefix", ["", "./"])
@pytest.mark.parametrize("directories", [True, False])
def test_an_archive_in_any_order_becomes_canonical(
    tmp_path: Path, original: Path, parts: list[Part], prefix: str, directories: bool
) -> None:
    content = shuffled_tar(parts, prefix=prefix, directories=directories)
    assert imported(tmp_path, content) == original.read_bytes()


def test_a_layout_folder_becomes_canonical(tmp_path: Path, original: Path, parts: list[Part]) -> None:
    folder = write_layout(tmp_path / "layout", parts)
    result = import_bundle(folder, tmp_path / "made.lading")
    assert result.path.read_bytes() == original.read_bytes()
    assert result.bill.app.name == "full"


def test_the_default_place_is_here_by_name_and_version(
    tmp_path: Path, original: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert import_bundle(original).path.resolve() == tmp_path / "full-2.1.0-rc.1.lading"


def test_a_manifest_that_a_tool_rewrote_is_made_anew(tmp_path: Path, original: Path, parts: list[Part]) -> None:
    manifest = json.loads(parts[2].content)
    manifest["annotations"]["org.example.tool"] = "was here"
    content = json.dumps(manifest, indent=3).encode()
    name = media.BLOB_PREFIX + hashlib.sha256(content).hexdigest()
    index = {"manifests": [{"mediaType": media.MANIFEST, "digest": f"sha256:{name[13:]}", "size": len(content)}]}
    rest = [Part("index.json", json.dumps(index).encode()), Part(name, content), *parts[3:]]
    assert imported(tmp_path, shuffled_tar(rest)) == original.read_bytes()


def test_the_same_bundle_under_two_tags_is_one(tmp_path: Path, original: Path, parts: list[Part]) -> None:
    index = json.loads(parts[1].content)
    index["manifests"] *= 2
    parts[1] = Part("index.json", json.dumps(index).encode())
    assert imported(tmp_path, shuffled_tar(parts)) == original.read_bytes()


def test_long_names_of_other_members_do_no_harm(tmp_path: Path, original: Path, parts: list[Part]) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for part in [*parts, Part("x" * 300, b"ignored")]:
            info = tarfile.TarInfo(part.name)
            info.size = len(part.content)
            tar.addfile(info, io.BytesIO(part.content))
    assert imported(tmp_path, stream.getvalue()) == original.read_bytes()


def test_another_image_is_refused(tmp_path: Path, parts: list[Part]) -> None:
    manifest = json.loads(parts[2].content)
    for layer in manifest["layers"]:
        layer["mediaType"] = "application/vnd.oci.image.layer.v1.tar"
    content = json.dumps(manifest).encode()
    name = media.BLOB_PREFIX + hashlib.sha256(content).hexdigest()
    index = {"manifests": [{"mediaType": media.MANIFEST, "digest": f"sha256:{name[13:]}", "size": len(content)}]}
    rest = [Part("index.json", json.dumps(index).encode()), Part(name, content), *parts[3:]]
    refused(tmp_path, shuffled_tar(rest), "not a lading bundle")


def test_a_damaged_content_is_refused(tmp_path: Path, parts: list[Part]) -> None:
    parts[-1] = Part(parts[-1].name, bytes(len(parts[-1].content)))
    refused(tmp_path, shuffled_tar(parts), "damaged")


def test_a_damaged_bill_is_refused(tmp_path: Path, parts: list[Part]) -> None:
    parts[4] = Part(parts[4].name, parts[4].content.replace(b"full", b"evil"))
    refused(tmp_path, shuffled_tar(parts), "damaged")


@pytest.mark.parametrize("place", [1, 2, 4, -1])
def test_a_missing_member_is_named(tmp_path: Path, parts: list[Part], place: int) -> None:
    del parts[place]
    refused(tmp_path, shuffled_tar(parts), "lacks|no index.json")


def test_a_duplicate_member_is_refused(tmp_path: Path, parts: list[Part]) -> None:
    refused(tmp_path, put_together([*parts, parts[-1]]), "twice")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.GNUTYPE_SPARSE])
def test_what_is_no_file_is_refused(tmp_path: Path, parts: list[Part], kind: bytes) -> None:
    parts[-1] = link(parts[-1].name, "/etc/passwd", kind)
    refused(tmp_path, put_together(parts), "link|device|sparse")


def test_a_size_beyond_the_end_is_refused(tmp_path: Path, original: Path) -> None:
    content = original.read_bytes()
    refused(tmp_path, content[:-2000], "lacks|beyond the end|damaged")


def test_a_compressed_archive_is_named(tmp_path: Path, original: Path) -> None:
    refused(tmp_path, gzip.compress(original.read_bytes()), "gzip")


def test_what_is_no_layout_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "folder", tmp_path / "missing"):
        with pytest.raises(BundleError):
            import_bundle(path, tmp_path / "made.lading")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BundleError, match="neither"):
        import_bundle(tmp_path / "pipe", tmp_path / "made.lading")


@settings(max_examples=150)
@given(data=st.data())
def test_mutated_archives_are_imported_whole_or_refused(
    tmp_path_factory: pytest.TempPathFactory, original: Path, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp() / "mutations"
    folder.mkdir(exist_ok=True)
    content = bytearray(original.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=40))
    source, made = folder / "foreign.tar", folder / "made.lading"
    source.write_bytes(content)
    made.unlink(missing_ok=True)
    try:
        import_bundle(source, made)
    except BundleError:
        assert not made.exists()
    else:
        assert made.read_bytes() == original.read_bytes()
