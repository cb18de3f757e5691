"""A damaged or hostile bundle: exit status 2, one clear sentence, nothing installed, the old release current."""

from __future__ import annotations

import os
import random
import tarfile
from typing import TYPE_CHECKING

import pytest

from lading.bundle import ustar
from tests.support.apps import write_app
from tests.support.command import Lading, listing
from tests.support.made_models import fully_connected
from tests.support.tars import Forged, Part, header_of, link, lying, patched, pax, put_together, take_apart
from tests.support.wat_guests import says

if TYPE_CHECKING:
    from pathlib import Path

TEN_GIGABYTES = 10 * 1000**3


class Attack:
    """A board that holds release 1.0.0 of an app, and a good bundle of 2.0.0 to spoil."""

    def __init__(self, lading: Lading, board: str, store: Path, folder: Path) -> None:
        self.lading, self.board, self.store = lading, board, store
        models = {"one": fully_connected(1, 8), "two": fully_connected(2, 8)}
        lading("push", write_app(folder / "old", says("old\n"), models=models), board)
        app = write_app(folder / "new", says("new\n"), models={**models, "two": fully_connected(3, 8)}, version="2.0.0")
        lading("pack", app, "-o", folder / "good.lading")
        self.path = folder / "hostile.lading"
        self.good = (folder / "good.lading").read_bytes()
        self.parts = take_apart(folder / "good.lading")
        self.before = listing(store)
        self.folder = folder
        self.around = listing(folder)

    def refused(self, content: bytes | None = None, *, verb: str = "push") -> str:
        """Push the spoiled bundle; the sentence that is said about it."""
        if content is not None:
            self.path.write_bytes(content)
        done = self.lading(verb, self.path, self.board, expect=2)
        assert done.stdout == b"", str(done)
        lines = done.err.splitlines()
        assert len(lines) == 2, str(done)
        assert lines[0].startswith("lading: error: ")
        assert self.path.name in lines[0], "the sentence says which file"
        assert lines[1].startswith("  remedy: ")
        assert listing(self.store) == self.before, "nothing was installed, and nothing lies about"
        now = listing(self.folder)
        now.pop(self.path.name)
        assert now == self.around, "and nothing was written anywhere else"
        return lines[0]

    def still_works(self) -> None:
        """The old release runs, and the good bundle comes through."""
        assert self.lading("run", self.board).out == "old\n"
        self.path.write_bytes(self.good)
        self.lading("push", self.path, self.board)
        assert self.lading("run", self.board).out == "new\n"


@pytest.fixture
def attack(lading: Lading, board: str, tmp_path: Path) -> Attack:
    """A board in use and a bundle to spoil."""
    store = tmp_path / "board"
    return Attack(lading, board, store, tmp_path)


def test_one_bit_flipped_anywhere(attack: Attack) -> None:
    """Headers, contents, paddings and the end mark: one of each, and a few more drawn from the whole file."""
    offsets = [3, 100, 124, 148, 156, 345, 500]  # fields of the first header: name, mode, size, sum, kind …
    at = 0
    for number, part in enumerate(attack.parts):
        size = len(part.content)
        if number in (1, 2, len(attack.parts) - 1):
            offsets += [at + 130, at + ustar.BLOCK + size // 2]
        if number % 3 == 1 and ustar.padding(size):
            offsets.append(at + ustar.BLOCK + size + ustar.padding(size) // 2)
        at += ustar.BLOCK + size + ustar.padding(size)
    offsets += [at, len(attack.good) - 1]
    offsets += random.Random(20).sample(range(len(attack.good)), 4)
    for offset in offsets:
        spoiled = bytearray(attack.good)
        spoiled[offset] ^= 1 << (offset % 8)
        attack.refused(bytes(spoiled))
    attack.still_works()


def test_truncated(attack: Attack) -> None:
    for length in (0, 1, 511, 512, 5000, len(attack.good) // 2, len(attack.good) - 1024, len(attack.good) - 1):
        attack.refused(attack.good[:length])
    attack.still_works()


def test_traversal_and_links(attack: Attack) -> None:
    last = attack.parts[-1]
    for name in ("../../escaped", "/tmp/escaped", "blobs/sha256/../../../escaped"):
        attack.refused(put_together([*attack.parts[:-1], Part(name, last.content)]))
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        attack.refused(put_together([*attack.parts[:-1], link(last.name, "/etc/passwd", kind)]))
        attack.refused(put_together([*attack.parts, link("blobs/sha256/" + "0" * 64, "/etc/passwd", kind)]))
    attack.refused(put_together([*attack.parts[:-1], *pax(last.name, {"path": "../../escaped"}, last.content)]))
    attack.still_works()


def test_duplicate_and_unlisted_members(attack: Attack) -> None:
    assert "twice" in attack.refused(put_together([*attack.parts, attack.parts[-1]]))
    assert "twice" in attack.refused(put_together([*attack.parts, attack.parts[1]]))
    extra = Part("blobs/sha256/" + "0" * 64, b"stowaway")
    assert "not list" in attack.refused(put_together([*attack.parts, extra]))
    attack.refused(put_together([*attack.parts[:4], extra, *attack.parts[4:]]))
    attack.still_works()


def test_lying_sizes(attack: Attack) -> None:
    for place, changes in ((0, (1,)), (2, (-1, 512)), (-1, (-1, 1, 1_000_000))):
        part = attack.parts[place]
        for change in changes:
            parts = list(attack.parts)
            parts[place] = lying(part.name, part.content, max(0, len(part.content) + change))
            attack.refused(put_together(parts))
    forged = Forged(attack.parts)
    forged.manifest["layers"][-1]["size"] += 1
    attack.refused(forged.encode())
    attack.still_works()


def test_a_ten_gigabyte_claim(attack: Attack) -> None:
    last = attack.parts[-1]
    info = tarfile.TarInfo(last.name)
    info.type, info.size = tarfile.GNUTYPE_SPARSE, 512
    sparse = patched(header_of(info), 483, b"%011o\0" % (TEN_GIGABYTES % 8**11))
    base_256 = patched(ustar.header(last.name, 0), 124, b"\x80" + TEN_GIGABYTES.to_bytes(11, "big"))
    for header in (sparse, base_256):
        attack.refused(put_together([*attack.parts[:-1], Part(last.name, b"x" * 512, header)]))
    forged = Forged(list(attack.parts))
    forged.manifest["layers"][-1]["size"] = TEN_GIGABYTES
    attack.refused(forged.encode())
    # The claim made true, as a hole that costs nothing on disk.
    attack.path.write_bytes(attack.good)
    os.truncate(attack.path, TEN_GIGABYTES)
    attack.refused()
    attack.still_works()


def test_what_is_no_bundle(attack: Attack) -> None:
    for content in (b"", b"hello", bytes(20_000), b"\x1f\x8b\x08\0" + bytes(600), b"PK\3\4" + bytes(600)):
        attack.refused(content)
    attack.refused(attack.good + b"\0" * 512)
    attack.still_works()


def test_deploy_and_inspect_refuse_as_well(attack: Attack) -> None:
    spoiled = bytearray(attack.good)
    spoiled[len(spoiled) // 2] ^= 4
    attack.refused(bytes(spoiled), verb="deploy")
    done = attack.lading("inspect", attack.path, expect=2)
    assert done.stdout == b""
    document = attack.lading.json("push", attack.path, attack.board, expect=2)
    assert document["error"]["code"] == "bundle"
    attack.still_works()


def test_the_same_project_packs_to_the_same_bytes(lading: Lading, digits: Path, digits_bundle: Path) -> None:
    os.utime(digits / "digits.wasm", (1, 1))
    (digits / "images" / "0000_label6.pgm").chmod(0o600)
    lading("pack", digits, "-o", "again.lading", env={"TZ": "Asia/Tokyo", "LANG": "C", "PYTHONHASHSEED": "7"})
    assert (lading.cwd / "again.lading").read_bytes() == digits_bundle.read_bytes()
