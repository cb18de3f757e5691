"""The matrix as a page: readable by whoever opens it, with nothing from a project running in it."""

from __future__ import annotations

import re
import struct
import zlib
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from lading import profiles
from lading.check import Place, Verdict
from lading.check.verdict import At, Errno
from lading.variants.matrix import App, Cell, Matrix
from lading.variants.page import page
from tests.support.chromium import Chromium, chromium

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command import Lading

EVIL = (
    "</template></script><script>document.title='owned'</script>"
    "<img src=x onerror=\"document.title='owned'\">'\"&\x1b[31m"
)


def cell(state: str, reason: str = "", remedy: str = "") -> Cell:
    failed = Verdict(
        "fails", "p", "measured", At(3, "set_input"), "errno", Errno("invalid_argument", 1), reason, remedy
    )
    ok = Verdict("ok", "p", "measured")
    unknown = Verdict("unknown", "p", "inferred", reason=reason, remedy=remedy)
    if state == "ok":
        return Cell("ok", ok, ok, "default", "as it was given")
    if state == "variant":
        return Cell("variant", failed, ok, "v", f"{reason} as float32")
    if state == "unknown":
        return Cell("unknown", unknown, unknown, "default", "as it was given")
    return Cell("fails", failed, failed, "default", "as it was given", f"tried {reason}", remedy)


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A page whose every text wants to be markup."""
    ids = ("lading-litert", "wamr-2.3", "wasmedge-main", "wasmtime-wit")
    places = tuple(Place(profiles.find(f"profile:{i}")) for i in ids)
    apps = (App("a", EVIL, "1.0.0", "r", ("default",)), App("b", "plain", "1.0.0", "r", ("default",), (EVIL,)))
    states = ("ok", "variant", "unknown", "fails")
    cells = tuple((cell(s, EVIL, EVIL), cell(states[3 - n], "why", "do that")) for n, s in enumerate(states))
    path = tmp_path / "matrix.html"
    path.write_text(page(Matrix(apps, places, cells)), encoding="utf-8")
    return path


@pytest.fixture
def browser(tmp_path: Path) -> Chromium:
    return chromium(tmp_path / "browser")


class Elements(HTMLParser):
    """Counts elements, and keeps their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def test_nothing_of_a_project_becomes_markup(hostile: Path) -> None:
    text = hostile.read_text()
    parser = Elements()
    parser.feed(text)
    tags = [tag for tag, _ in parser.seen]
    assert tags.count("script") == 1
    assert "img" not in tags
    assert not any(name.startswith("on") for _, attributes in parser.seen for name in attributes)
    assert "\x1b" not in text


def test_the_page_asks_for_nothing_from_anywhere(hostile: Path) -> None:
    parser = Elements()
    parser.feed(hostile.read_text())
    assert not [a for _, attributes in parser.seen for a in attributes if a in {"src", "href", "action", "srcset"}]
    policy = next(a["content"] for tag, a in parser.seen if tag == "meta" and a.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy


def test_a_browser_runs_its_script_and_no_other(hostile: Path, browser: Chromium) -> None:
    dom = browser.dom(hostile, "#sort-1")
    title = re.search(r"<title>(.*?)</title>", dom, re.DOTALL)
    assert title is not None
    assert title[1].startswith("What runs where: ")
    assert 'aria-sort="ascending"' in dom
    order = [int(n) for n in re.findall(r'<tr data-row="(\d)"', dom)]
    assert order == [0, 1, 2, 3]
    other = browser.dom(hostile, "#sort-2")
    assert [int(n) for n in re.findall(r'<tr data-row="(\d)"', other)] == [3, 2, 1, 0]


def test_a_cell_tells_its_reason_and_remedy(hostile: Path, browser: Chromium) -> None:
    dom = browser.dom(hostile, "#cell-0-1")
    (shown,) = re.findall(r"<dialog[^>]*\bopen\b[^>]*>(.*?)</dialog>", dom, re.DOTALL)
    assert "plain 1.0.0 on lading-litert" in shown
    assert "set_input (call 3): invalid_argument (1): why" in shown
    assert "do that" in shown


def test_a_phone_shows_it_without_scrolling_the_page_sideways(hostile: Path, browser: Chromium, tmp_path: Path) -> None:
    size = browser.screenshot(hostile, tmp_path / "phone.png", size=(500, 844))
    assert size[0] == 500
    colours = drawn(tmp_path / "phone.png")
    assert {(0xDC, 0xF5, 0xE3), (0xFF, 0xF0, 0xCC), (0xFD, 0xE3, 0xE0)} <= colours


def test_the_verb_writes_a_page_that_a_browser_draws(
    lading: Lading, digits: Path, browser: Chromium, tmp_path: Path
) -> None:
    where = tmp_path / "matrix.html"
    document = lading.json("matrix", digits, "--on", "lading-litert,wasmedge-0.17,wasmtime-witx", "--html", where)
    assert document["counts"] == {"ok": 1, "variant": 1, "unknown": 0, "fails": 1}
    assert document["html"] == str(where)
    assert browser.screenshot(where, tmp_path / "wide.png") == (1100, 900)
    colours = drawn(tmp_path / "wide.png")
    assert {(0xDC, 0xF5, 0xE3), (0xFF, 0xF0, 0xCC), (0xFD, 0xE3, 0xE0)} <= colours
    dom = browser.dom(where, "#cell-1-0")
    assert "digits@1.0.0 as uint8, guest rewritten" in dom


def drawn(png: Path) -> set[tuple[int, int, int]]:
    """The colours of a PNG with 8 bits a channel."""
    data = png.read_bytes()
    at, packed, width, channels = 8, b"", 0, 3
    while at < len(data):
        (length,), kind = struct.unpack_from(">I", data, at), data[at + 4 : at + 8]
        body = data[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width, _, depth, colour = struct.unpack_from(">IIBB", body)
            assert depth == 8
            channels = {2: 3, 6: 4}[colour]
        elif kind == b"IDAT":
            packed += body
        at += 12 + length
    raw, stride = zlib.decompress(packed), width * channels
    before, found = bytearray(stride), set[tuple[int, int, int]]()
    for start in range(0, len(raw), stride + 1):
        line = unfiltered(raw[start], bytearray(raw[start + 1 : start + 1 + stride]), before, channels)
        found.update(zip(line[0::channels], line[1::channels], line[2::channels], strict=True))
        before = line
    return found


def unfiltered(kind: int, line: bytearray, above: bytearray, channels: int) -> bytearray:
    """A PNG line as it is drawn."""
    for n in range(len(line)):
        left = line[n - channels] if n >= channels else 0
        up, corner = above[n], above[n - channels] if n >= channels else 0
        guess = left + up - corner
        paeth = min((left, up, corner), key=lambda v: abs(guess - v))
        line[n] = (line[n] + (0, left, up, (left + up) // 2, paeth)[kind]) & 0xFF
    return line
