"""Bundles that somebody made to do harm. Each is refused with one sentence and exit status 2."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from lading.bundle import media, open_bundle, pack, ustar
from lading.errors import BundleError
from lading_agent.strictjson import dumps
from tests.support.projects import full_project
from tests.support.tars import Forged, Part, header_of, link, lying, patched, pax, put_together, take_apart

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> list[Part]:
    """The members of a good bundle."""
    return take_apart(pack(full_project(tmp_path_factory.mktemp("good") / "project")).path)


@pytest.fixture
def parts(good: list[Part]) -> list[Part]:
    return [Part(part.name, part.content) for part in good]


def refused(tmp_path: Path, content: bytes, sentence: str) -> BundleError:
    """Opening and verifying these bytes is refused with such a sentence."""
    path = tmp_path / "hostile.lading"
    path.write_bytes(content)
    with pytest.raises(BundleError, match=sentence) as caught, open_bundle(path) as bundle:
        bundle.verify()
    assert caught.value.exit_status == 2
    assert "\n" not in caught.value.message
    assert caught.value.remedy
    return caught.value


def blob_at(parts: list[Part], index: int = -1) -> Part:
    return parts[index]


def test_the_parts_put_together_are_a_good_bundle(tmp_path: Path, parts: list[Part]) -> None:
    path = tmp_path / "good.lading"
    path.write_bytes(put_together(parts))
    with open_bundle(path) as bundle:
        bundle.verify()


@pytest.mark.parametrize("name", ["../../evil", "/etc/passwd", "blobs/sha256/../../../evil", "blobs/../index.json"])
def test_traversal(tmp_path: Path, parts: list[Part], name: str) -> None:
    parts[-1] = Part(name, parts[-1].content)
    refused(tmp_path, put_together(parts), "where blobs/sha256/")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["hostile.lading"]


def test_traversal_through_the_prefix_field(tmp_path: Path, parts: list[Part]) -> None:
    name = parts[-1].name
    parts[-1].header = patched(ustar.header(name, len(parts[-1].content)), 345, b"../..")
    refused(tmp_path, put_together(parts), "holds '../../blobs")


def test_traversal_through_a_digest_of_the_index(tmp_path: Path, parts: list[Part]) -> None:
    index = json.loads(parts[1].content)
    index["manifests"][0]["digest"] = "sha256:../../../../etc/passwd"
    parts[1] = Part("index.json", dumps(index))
    refused(tmp_path, put_together(parts), "digest")


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (tarfile.SYMTYPE, "a symbolic link"),
        (tarfile.LNKTYPE, "a hard link"),
        (tarfile.DIRTYPE, "a directory"),
        (tarfile.FIFOTYPE, "a named pipe"),
        (tarfile.CHRTYPE, "a character device"),
        (tarfile.BLKTYPE, "a block device"),
        (tarfile.GNUTYPE_SPARSE, "a sparse file"),
        (b"Z", "a member of an unknown kind"),
    ],
)
@pytest.mark.parametrize("place", [0, 1, 2, 4, -1])
def test_a_member_that_is_no_file(tmp_path: Path, parts: list[Part], kind: bytes, word: str, place: int) -> None:
    parts[place] = link(parts[place].name, "/etc/passwd", kind)
    refused(tmp_path, put_together(parts), word)


def test_a_link_added_at_the_end(tmp_path: Path, parts: list[Part]) -> None:
    refused(
        tmp_path, put_together([*parts, link("blobs/sha256/x", "/etc/passwd")]), "a symbolic link that its manifest"
    )


@pytest.mark.parametrize("place", [0, 1, 2, 3, -1])
def test_a_duplicate_member(tmp_path: Path, parts: list[Part], place: int) -> None:
    refused(tmp_path, put_together([*parts, parts[place]]), "twice")
    refused(tmp_path, put_together([*parts[:5], parts[place], *parts[5:]]), "twice|where|not list")


def test_an_unlisted_member(tmp_path: Path, parts: list[Part]) -> None:
    extra = Part("blobs/sha256/" + "0" * 64, b"x")
    refused(tmp_path, put_together([*parts, extra]), "not list: 'blobs/sha256/0000")
    refused(tmp_path, put_together([extra, *parts]), "where oci-layout should be")
    refused(tmp_path, put_together([*parts[:4], extra, *parts[4:]]), "where blobs/sha256/")


@pytest.mark.parametrize("place", range(10))
def test_a_missing_member(tmp_path: Path, parts: list[Part], place: int) -> None:
    del parts[place]
    refused(tmp_path, put_together(parts), "should be|lacks")


def test_members_in_another_order(tmp_path: Path, parts: list[Part]) -> None:
    parts[-1], parts[-2] = parts[-2], parts[-1]
    error = refused(tmp_path, put_together(parts), "should be")
    assert "lading import" in error.remedy


@pytest.mark.parametrize("place", [0, 1, 2, 3, 4, -1])
@pytest.mark.parametrize("change", [-1, 1, 512, 10 * 1000**3 - 100_000])
def test_a_lying_size(tmp_path: Path, parts: list[Part], place: int, change: int) -> None:
    content = parts[place].content
    size = min(max(0, len(content) + change), ustar.MAX_SIZE)
    parts[place] = lying(parts[place].name, content, size)
    refused(tmp_path, put_together(parts), "bytes|truncated|padding|index.json|not one|JSON")


def test_a_10_gigabyte_claim_in_the_sparse_form(tmp_path: Path, parts: list[Part]) -> None:
    info = tarfile.TarInfo(parts[-1].name)
    info.type, info.size = tarfile.GNUTYPE_SPARSE, 512
    header = patched(header_of(info), 483, b"%011o\0" % (10 * 1000**3 % 8**11))
    parts[-1] = Part(parts[-1].name, b"x" * 512, header)
    refused(tmp_path, put_together(parts), "a sparse file")


def test_a_10_gigabyte_claim_in_base_256(tmp_path: Path, parts: list[Part]) -> None:
    name = parts[-1].name
    header = patched(ustar.header(name, 0), 124, b"\x80" + (10 * 1000**3).to_bytes(11, "big"))
    parts[-1] = Part(name, parts[-1].content, header)
    refused(tmp_path, put_together(parts), "a size that is not plain")


def test_a_10_gigabyte_claim_in_the_manifest(tmp_path: Path, parts: list[Part]) -> None:
    forged = Forged(parts)
    forged.manifest["layers"][-1]["size"] = 10 * 1000**3
    refused(tmp_path, forged.encode(), "not between 0 and")


def test_a_hole_for_a_content(tmp_path: Path, parts: list[Part]) -> None:
    # The file claims 4 GB of zeros and has them, as a hole that costs nothing on disk.
    size = 4 * 1000**3
    forged = Forged(parts)
    forged.manifest["layers"][-1]["size"] = size
    forged.parts[-1] = lying(parts[-1].name, b"", size)
    content = forged.encode()
    path = tmp_path / "hole.lading"
    with path.open("wb") as file:
        file.write(content[: -len(ustar.END)])
        os.ftruncate(file.fileno(), len(content) + size + ustar.padding(size))
    with pytest.raises(BundleError, match="another size than its bill"):
        open_bundle(path)


@pytest.mark.parametrize("records", [{"path": "../../evil"}, {"size": "10000000000"}, {"GNU.sparse.major": "1"}])
def test_pax_records(tmp_path: Path, parts: list[Part], records: dict[str, str]) -> None:
    last = parts.pop()
    refused(tmp_path, put_together([*parts, *pax(last.name, records, last.content)]), "a pax record")


def test_a_huge_manifest(tmp_path: Path, parts: list[Part]) -> None:
    forged = Forged(parts)
    refused(tmp_path, forged.encode(b" " * (media.MAX_JSON_BYTES + 1)), "manifest of more than")


def test_a_manifest_with_endless_layers(tmp_path: Path, parts: list[Part]) -> None:
    forged = Forged(parts)
    layers = forged.manifest["layers"]
    layers += [{**layers[-1], "digest": f"sha256:{n:064x}"} for n in range(media.MAX_BLOBS)]
    refused(tmp_path, forged.encode(), "at most")


def test_a_huge_index(tmp_path: Path, parts: list[Part]) -> None:
    parts[1] = Part("index.json", parts[1].content + b" " * media.MAX_INDEX_BYTES)
    refused(tmp_path, put_together(parts), "index.json with")


def test_deep_json(tmp_path: Path, parts: list[Part]) -> None:
    forged = Forged(parts)
    refused(tmp_path, forged.encode(b"[" * 100_000 + b"]" * 100_000), "nested deeper")
    refused(tmp_path, forged.encode(b'{"a":' * 50 + b"1" + b"}" * 50), "nested deeper")


def test_duplicate_keys(tmp_path: Path, parts: list[Part]) -> None:
    forged = Forged(parts)
    doubled = dumps(forged.manifest).replace(b'"layers":[', b'"layers":[],"layers":[')
    refused(tmp_path, forged.encode(doubled), "twice")


@pytest.mark.parametrize("content", [b"[]", b"null", b"{}", b"\xff", b"{"])
def test_a_manifest_that_is_none(tmp_path: Path, parts: list[Part], content: bytes) -> None:
    refused(tmp_path, Forged(parts).encode(content), "the manifest")


def test_a_manifest_that_is_not_canonical(tmp_path: Path, parts: list[Part]) -> None:
    forged = Forged(parts)
    refused(tmp_path, forged.encode(json.dumps(forged.manifest).encode()), "canonical")


@pytest.mark.parametrize("size", [None, 1])
def test_a_blob_listed_twice(tmp_path: Path, parts: list[Part], size: int | None) -> None:
    forged = Forged(parts)
    layers = forged.manifest["layers"]
    layers.append({**layers[-1], **({} if size is None else {"size": size})})
    refused(tmp_path, forged.encode(), "twice$" if size is None else "with different sizes")


@pytest.mark.parametrize(
    "digest", ["sha256:" + "A" * 64, "SHA256:" + "a" * 64, "sha256:abc", "sha512:" + "a" * 128, "a" * 64, 7, None]
)
def test_a_digest_that_is_none(tmp_path: Path, parts: list[Part], digest: object) -> None:
    forged = Forged(parts)
    forged.manifest["layers"][-1]["digest"] = digest
    refused(tmp_path, forged.encode(), r"layers\[")


def test_a_digest_in_the_wrong_case(tmp_path: Path, parts: list[Part]) -> None:
    forged = Forged(parts)
    layer = forged.manifest["layers"][-1]
    layer["digest"] = "sha256:" + layer["digest"][7:].upper()
    refused(tmp_path, forged.encode(), "lower-case")


def test_a_blob_that_the_bill_does_not_list(tmp_path: Path, parts: list[Part]) -> None:
    forged = Forged(parts)
    content = b"stowaway"
    hexdigest = hashlib.sha256(content).hexdigest()
    layer = {"mediaType": media.FILE, "digest": f"sha256:{hexdigest}", "size": len(content)}
    forged.manifest["layers"].append(layer)
    forged.parts.append(Part(media.BLOB_PREFIX + hexdigest, content))
    refused(tmp_path, forged.encode(), "its bill does not list")


def test_a_blob_that_the_bill_lists_but_the_manifest_does_not(tmp_path: Path, parts: list[Part]) -> None:
    forged = Forged(parts)
    del forged.manifest["layers"][-1]
    del forged.parts[-1]
    refused(tmp_path, forged.encode(), "lacks sha256:")


def test_a_manifest_without_a_bill(tmp_path: Path, parts: list[Part]) -> None:
    forged = Forged(parts)
    forged.manifest["layers"][0]["mediaType"] = "application/octet-stream"
    refused(tmp_path, forged.encode(), "not a lading bundle")


def test_labels_that_lie_about_the_app(tmp_path: Path, parts: list[Part]) -> None:
    forged = Forged(parts)
    forged.manifest["annotations"][media.TITLE] = "trusted-app"
    refused(tmp_path, forged.encode(), "labelled as another app")


def test_an_index_that_names_two_manifests(tmp_path: Path, parts: list[Part]) -> None:
    index = json.loads(parts[1].content)
    index["manifests"] *= 2
    parts[1] = Part("index.json", dumps(index))
    refused(tmp_path, put_together(parts), "2 manifests")


def test_an_index_with_another_tag(tmp_path: Path, parts: list[Part]) -> None:
    index = json.loads(parts[1].content)
    index["manifests"][0]["annotations"][media.REF_NAME] = "9.9.9"
    parts[1] = Part("index.json", dumps(index))
    refused(tmp_path, put_together(parts), "does not belong to its manifest")


@pytest.mark.parametrize(
    "tail", [b"x", b"\0", bytes(512), bytes(10240 - 1024), b"PK\x03\x04", ustar.header("evil", 0) + ustar.END]
)
def test_bytes_after_the_end(tmp_path: Path, parts: list[Part], tail: bytes) -> None:
    refused(tmp_path, put_together(parts) + tail, "bytes after its end mark")


@pytest.mark.parametrize(
    "end", [b"", bytes(512), bytes(1023), bytes(512) + b"x" * 512, b"\0" * 511 + b"\1" + bytes(512)]
)
def test_an_end_that_is_not_whole(tmp_path: Path, parts: list[Part], end: bytes) -> None:
    refused(tmp_path, put_together(parts, end), "truncated|not list")


def test_padding_that_is_not_zero(tmp_path: Path, parts: list[Part]) -> None:
    content = bytearray(put_together(parts))
    at = len(content) - len(ustar.END) - 1
    assert content[at] == 0
    content[at] = 1
    refused(tmp_path, bytes(content), "padding")


@pytest.mark.parametrize("field", ["mode", "uid", "gid", "mtime", "uname", "type", "version"])
def test_a_header_that_is_not_canonical(tmp_path: Path, parts: list[Part], field: str) -> None:
    at, value = {
        "mode": (100, b"0000755\0"),
        "uid": (108, b"0001750\0"),
        "gid": (116, b"0001750\0"),
        "mtime": (136, b"14730566000\0"),
        "uname": (265, b"root\0"),
        "type": (156, b"\0"),
        "version": (257, b"ustar  \0"),
    }[field]
    header = ustar.header(parts[4].name, len(parts[4].content))
    parts[4].header = patched(header, at, value)
    refused(tmp_path, put_together(parts), "not canonical")


@pytest.mark.parametrize(
    "content", [b"", b"x", b"\0" * 10240, b"\x1f\x8b\x08\0" + b"x" * 600, b"PK\3\4" + b"x" * 600, b"TFL3" * 200]
)
def test_a_file_that_is_no_bundle(tmp_path: Path, content: bytes) -> None:
    refused(tmp_path, content, "is not a bundle|truncated|lacks oci-layout")


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not a regular file"):
        open_bundle(tmp_path)
    with pytest.raises(BundleError, match="cannot be opened"):
        open_bundle(tmp_path / "missing.lading")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BundleError, match="not a regular file"):
        open_bundle(tmp_path / "pipe")
