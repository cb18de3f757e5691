"""Engines that exist in tests only: tiny wheels, their entries of the catalogue, and a package index on loopback."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import threading
import zipfile
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from lading.engines import elf
from lading.engines.runner import symbols
from tests.support.elves import library

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MEMBER = "wasmtime/linux/_libwasmtime.so"
LICENCE = "wasmtime-99.0.0.dist-info/licenses/LICENSE"
TEXT = b"Everybody may do everything.\n"
FILE = "wasmtime-99.0.0-py3-none-manylinux1_x86_64.whl"
NEEDS = {"libc.so.6": ["GLIBC_2.17", "GLIBC_2.28"], "libgcc_s.so.1": ["GCC_4.2.0"]}


def sha256(data: bytes) -> str:
    """Hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def tiny_library(architecture: str = "x86_64", without: str = "") -> bytes:
    """A library with every function that the runner looks up."""
    return library(symbols("wasmtime") - {without}, architecture=architecture, needs=NEEDS)


def zipped(members: list[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip file; the same name may come twice."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return out.getvalue()


@dataclass
class Tiny:
    """A version 99.0.0 of wasmtime. What is pinned follows from what is in it, unless it is said otherwise."""

    library: bytes = field(default_factory=tiny_library)
    wheel: bytes = b""
    pinned: dict[str, Any] = field(default_factory=dict)
    """Keys of the entry with other values than the true ones, as in ``{"library.size": 7}``."""

    def __post_init__(self) -> None:
        if not self.wheel:
            filling = ("wasmtime/filling.bin", hashlib.shake_128(b"filling").digest(200_000))
            self.wheel = zipped([("wasmtime/__init__.py", b""), filling, (LICENCE, TEXT), (MEMBER, self.library)])

    def toml(self) -> str:
        """The entry of the catalogue."""
        try:
            stripped = elf.strip(self.library)
        except elf.ElfError:
            stripped = self.library
        values: dict[str, Any] = {
            "architecture": "x86_64",
            "size": len(self.wheel),
            "sha256": sha256(self.wheel),
            "library.member": MEMBER,
            "library.size": len(self.library),
            "library.sha256": sha256(self.library),
            "library.stripped-size": len(stripped),
            "library.stripped-sha256": sha256(stripped),
            **self.pinned,
        }
        lines = ["schema = 1", 'name = "wasmtime"', 'version = "99.0.0"', 'package = "wasmtime"', 'licence = "MIT"']
        lines += ["[[wheel]]", f'file = "{FILE}"']
        lines += [f"{key} = {json.dumps(value)}" for key, value in values.items() if "." not in key]
        lines += ["[wheel.library]"]
        lines += [f"{key[8:]} = {json.dumps(value)}" for key, value in values.items() if key.startswith("library.")]
        lines += ["[wheel.minimums]", 'glibc = "2.28"', 'libgcc = "4.2.0"', "[[wheel.licence]]"]
        lines += [f'member = "{LICENCE}"', f"size = {len(TEXT)}", f'sha256 = "{sha256(TEXT)}"']
        return "\n".join(lines) + "\n"

    def write(self, config: Path) -> Tiny:
        """Put the entry into the user's configuration folder."""
        folder = config / "lading" / "engines"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "wasmtime-99.0.0.toml").write_text(self.toml())
        return self


@dataclass
class Index:
    """A package index with one file, and what goes wrong there."""

    content: bytes
    html: bool = False
    empty: bool = False
    cut: list[int] = field(default_factory=list)
    """Bytes of the body after which a connection is closed, one for each download, as long as there are any."""
    statuses: list[int] = field(default_factory=list)
    """Answers in place of the file's, one for each download, as long as there are any."""
    ranges: bool = True
    stall: bool = False
    """Send half of the file, then nothing until the client has gone."""
    password: str = ""
    redirect: str = ""
    """Where a download is sent to."""
    page: bytes | None = None
    """In place of the package's own page."""
    address: str = ""
    asked: list[str] = field(default_factory=list)
    """Path and range of every download."""
    authorized: list[str] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)


@contextlib.contextmanager
def served(index: Index) -> Iterator[Index]:
    """Serve an index on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
            pass

        def do_GET(self) -> None:
            _answer(self, index)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    index.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield index
    finally:
        index.done.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _answer(request: BaseHTTPRequestHandler, index: Index) -> None:
    given = request.headers.get("Authorization", "")
    index.authorized.append(given)
    if index.password and not given:
        _send(request, 401, b"", {})
    elif request.path == "/simple/wasmtime/":
        _page(request, index)
    elif request.path.startswith("/files/"):
        _file(request, index)
    else:
        _send(request, 404, b"", {})


def _page(request: BaseHTTPRequestHandler, index: Index) -> None:
    files = [] if index.empty else [{"filename": FILE, "url": f"../../files/{FILE}", "hashes": {}}]
    other = {"filename": "wasmtime-1.0-py3-none-any.whl", "url": "/files/other", "hashes": {}}
    if index.html:
        links = "".join(f'<a href="{f["url"]}#sha256=00">{f["filename"]}</a><br/>' for f in [other, *files])
        body, kind = f"<!DOCTYPE html><html><body>{links}</body></html>".encode(), "text/html"
    else:
        body = json.dumps({"meta": {"api-version": "1.0"}, "name": "wasmtime", "files": [other, *files]}).encode()
        kind = "application/vnd.pypi.simple.v1+json"
    _send(request, 200, body if index.page is None else index.page, {"Content-Type": kind})


def _file(request: BaseHTTPRequestHandler, index: Index) -> None:
    wanted = request.headers.get("Range", "")
    index.asked.append(wanted)
    if index.redirect:
        _send(request, 302, b"", {"Location": index.redirect})
        return
    if index.statuses:
        _send(request, index.statuses.pop(0), b"", {})
        return
    body, headers, status = index.content, {}, 200
    if wanted and index.ranges:
        start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        body, status = index.content[start:], 206
        headers["Content-Range"] = f"bytes {start}-{len(index.content) - 1}/{len(index.content)}"
    sent = len(body)
    if index.stall:
        sent = sent // 2
    elif index.cut:
        sent = min(sent, index.cut.pop(0))
    _send(request, status, body, headers, sent)
    if index.stall:
        index.done.wait(30)


def _send(
    request: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str], sent: int | None = None
) -> None:
    with contextlib.suppress(ConnectionError):
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body[:sent])
        request.wfile.flush()
    request.close_connection = True
