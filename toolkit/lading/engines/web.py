"""Asking a simple index for a file, and getting it over connections that break."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import netrc
import socket
import ssl
import time
import urllib.error
import urllib.request
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from lading import __version__

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lading.engines.registry import Registry

MOST_INDEX_BYTES: Final = 64 * 1024 * 1024
ATTEMPTS: Final = 6
_CHUNK: Final = 256 * 1024
_ACCEPT: Final = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
_PASSING: Final = frozenset((408, 425, 429, 500, 502, 503, 504))
"""Answers after which it is worth asking again."""


class WebError(Exception):
    """A server did not give what it was asked for. The text says why, without credentials."""


class Web:
    """HTTP as far as fetching a package needs it: proxies from the environment, credentials from the address or netrc.

    Args:
        registry: certificates and times.
    """

    def __init__(self, registry: Registry) -> None:
        self._timeout_s = registry.timeout_s
        self._pause_s = registry.pause_s
        self._opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.ProxyHandler(),
            urllib.request.HTTPHandler(),
            urllib.request.HTTPSHandler(context=_trust(registry.certificates)),
            urllib.request.HTTPRedirectHandler(),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPErrorProcessor(),
            urllib.request.UnknownHandler(),
        ):
            self._opener.add_handler(handler)

    def find(self, index: str, package: str, file: str) -> str | None:
        """The address of a file of a package; None where the index does not have it.

        Raises:
            WebError: the index cannot be asked, or its answer not be read.
        """
        page = f"{index}/{package}/"
        answer = self._page(page)
        if answer is None:
            return None
        base, kind, body = answer
        try:
            found = _in_json(body, file) if "json" in kind else _in_html(body, file)
        except (ValueError, RecursionError) as error:
            raise WebError(f"{shown(page)}: is not the page of a package") from error
        if found is None:
            return None
        address = urljoin(base, found)
        # Files may lie beside the index, behind the same credentials.
        asked, given = urlsplit(page), urlsplit(address)
        if "@" not in given.netloc and "@" in asked.netloc and given.netloc == asked.netloc.rpartition("@")[2]:
            address = urlunsplit(given._replace(netloc=asked.netloc))
        return address

    def download(self, address: str, into: Path, size: int, progress: Callable[[int], None]) -> None:
        """Append to a file until it has ``size`` bytes; what is there already is not asked for again.

        Raises:
            WebError: it cannot be had, or is of another size.
        """
        failure = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(min(self._pause_s * 2 ** (attempt - 1), 8.0))
            before = into.stat().st_size if into.exists() else 0
            try:
                self._append(address, into, before, size, progress)
            except urllib.error.HTTPError as error:
                error.close()
                if error.code == 416:  # what is here is not the beginning of what is there
                    into.unlink(missing_ok=True)
                elif error.code not in _PASSING:
                    raise WebError(f"{shown(address)}: HTTP status {error.code}") from None
                failure = f"HTTP status {error.code}"
            except (OSError, http.client.HTTPException) as error:
                failure = _passing(error, address)
            else:
                if into.stat().st_size == size:
                    return
                failure = f"the connection ended after {into.stat().st_size} of {size} bytes"
        raise WebError(f"{shown(address)}: {failure} ({ATTEMPTS} attempts)")

    def _append(self, address: str, into: Path, have: int, size: int, progress: Callable[[int], None]) -> None:
        headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
        with self._open(address, headers) as answer:
            resumed = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
            if have and not resumed and answer.status == 206:
                raise WebError(f"{shown(address)}: gives another part than it was asked for")
            done = have if resumed else 0
            with into.open("ab" if resumed else "wb") as file:
                while chunk := answer.read1(_CHUNK):
                    done += len(chunk)
                    if done > size:
                        file.truncate(0)
                        raise WebError(f"{shown(address)}: is longer than the {size} bytes that were pinned")
                    file.write(chunk)
                    progress(done)

    def _page(self, address: str) -> tuple[str, str, bytes] | None:
        failure = ""
        for attempt in range(ATTEMPTS // 2):
            if attempt:
                time.sleep(min(self._pause_s * 2 ** (attempt - 1), 8.0))
            try:
                with self._open(address, {"Accept": _ACCEPT}) as answer:
                    body = answer.read(MOST_INDEX_BYTES + 1)
                    if len(body) > MOST_INDEX_BYTES:
                        raise WebError(f"{shown(address)}: is longer than {MOST_INDEX_BYTES} bytes")
                    return answer.url, answer.headers.get("Content-Type", ""), body
            except urllib.error.HTTPError as error:
                error.close()
                if error.code in (404, 410):
                    return None
                if error.code not in _PASSING:
                    raise WebError(f"{shown(address)}: HTTP status {error.code}") from None
                failure = f"HTTP status {error.code}"
            except (OSError, http.client.HTTPException) as error:
                failure = _passing(error, address)
        raise WebError(f"{shown(address)}: {failure}")

    def _open(self, address: str, headers: dict[str, str]) -> Any:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https"):
            raise WebError(f"{shown(address)}: is not a web address")
        bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))
        request = urllib.request.Request(bare, headers={"User-Agent": f"lading/{__version__}", **headers})  # noqa: S310 - http or https
        credentials = _credentials(address)
        if credentials:
            # Not sent on to wherever a redirection leads.
            request.add_unredirected_header("Authorization", f"Basic {credentials}")
        try:
            return self._opener.open(request, timeout=self._timeout_s)
        except ValueError as error:
            raise WebError(f"{shown(address)}: is not a web address") from error


def shown(address: str) -> str:
    """An address without user and password."""
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))


def _trust(certificates: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(certificates) if certificates else None)
    except OSError as error:
        raise WebError(f"{certificates}: no certificates can be read from it: {error.strerror or error}") from error


def _credentials(address: str) -> str:
    parts = urlsplit(address)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if not user and not password:
        with contextlib.suppress(OSError, netrc.NetrcParseError):
            found = netrc.netrc().authenticators(parts.hostname or "")
            if found:
                user, password = found[0] or "", found[2] or ""
    return base64.b64encode(f"{user}:{password}".encode()).decode() if user or password else ""


def _passing(error: Exception, address: str) -> str:
    """Why a connection broke.

    Raises:
        WebError: trying again would not help.
    """
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    if isinstance(cause, ssl.SSLCertVerificationError):
        raise WebError(f"{shown(address)}: its certificate is not trusted: {cause.verify_message}") from None
    why = (cause.strerror if isinstance(cause, OSError) else None) or str(cause) or type(cause).__name__
    if isinstance(cause, (socket.gaierror, ConnectionRefusedError)):
        raise WebError(f"{shown(address)}: {why}") from None
    return why


def _in_json(body: bytes, file: str) -> str | None:
    document = json.loads(body)
    files = document.get("files") if isinstance(document, dict) else None
    if not isinstance(files, list):
        raise ValueError("no list of files")  # noqa: TRY004 - the caller takes both for a page that is none
    for entry in files:
        if isinstance(entry, dict) and entry.get("filename") == file and isinstance(entry.get("url"), str):
            return str(entry["url"])
    return None


def _in_html(body: bytes, file: str) -> str | None:
    links = _Links()
    links.feed(body.decode("utf-8", "replace"))
    for address in links.addresses:
        path = urlsplit(address).path
        if unquote(path.rpartition("/")[2]) == file:
            return urljoin(links.base, address) if links.base else address
    return None


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.base = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect what ``a`` and ``base`` lead to."""
        address = dict(attrs).get("href")
        if address and tag == "a":
            self.addresses.append(address)
        elif address and tag == "base" and not self.base:
            self.base = address
