"""Variants that were made, kept in the user's cache: the same guest, models and firmwares give the same variants."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lading_agent.strictjson import dumps

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lading.profiles.schema import FirmwareProfile
    from lading_agent.bill import Bill

FORMAT: Final = 2
"""Raised when what is made of the same things becomes something else."""

MOST_KEPT: Final = 100
MOST_BYTES: Final = 1024**3
"""Of all contents together; the oldest go first."""

IN_USE_S: Final = 3600.0
"""How long contents that no document names are left alone: another pack may be about to name them."""


def cache_dir() -> Path:
    """The folder of kept variants."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("lading", appauthor=False)) / "variants"


def key_of(bill: Bill, profiles: Iterable[FirmwareProfile], *, optimize: bool) -> str:
    """A name for the variants of a bill's guest: everything that decides what they are."""
    from dataclasses import asdict

    from lading import __version__

    app = bill.app
    whole = {
        "format": FORMAT,
        "lading": __version__,
        "bill": asdict(bill.variant()),
        "models": [asdict(m) for m in bill.models],
        "dirs": [asdict(d) for d in bill.dirs],
        "state": [asdict(s) for s in bill.state],
        "app": [list(app.args), dict(app.env), list(app.env_from_device), app.memory_bytes],
        "profiles": [profile.resolved() for profile in profiles],
        "optimize": optimize,
    }
    return hashlib.sha256(dumps(whole)).hexdigest()


def read(key: str) -> dict[str, Any] | None:
    """What was kept under a name; None when nothing is, or not all of it is there any more."""
    place = cache_dir() / f"{key}.json"
    try:
        document = json.loads(place.read_bytes())
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            return None
        if not all(content(digest).is_file() for digest in document["contents"]):
            return None
        os.utime(place)
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return document


def write(key: str, document: Mapping[str, Any], contents: Mapping[str, bytes]) -> None:
    """Keep a document with the contents that it names by digest. A cache that cannot be written is no error."""
    with contextlib.suppress(OSError):
        for digest, data in contents.items():
            if not content(digest).is_file():
                _replace(content(digest), data)
        _replace(cache_dir() / f"{key}.json", dumps({**document, "format": FORMAT, "contents": sorted(contents)}))
        _drop_oldest()


def content(digest: str) -> Path:
    """Where a content lies, by its digest."""
    return cache_dir() / "contents" / digest.removeprefix("sha256:")


def _replace(place: Path, data: bytes) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=place.parent, prefix=".new-")
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(data)
        Path(temporary).replace(place)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _drop_oldest() -> None:
    """Keep to the limits; contents that no document names any more go as well."""
    documents = sorted(cache_dir().glob("*.json"), key=lambda place: place.stat().st_mtime, reverse=True)
    named: set[str] = set()
    size = 0
    for number, place in enumerate(documents):
        try:
            digests = set(json.loads(place.read_bytes())["contents"]) - named
            size += sum(content(digest).stat().st_size for digest in digests)
        except (OSError, ValueError, LookupError, TypeError):
            place.unlink(missing_ok=True)
            continue
        if number and (number >= MOST_KEPT or size > MOST_BYTES):
            place.unlink(missing_ok=True)
            continue
        named |= digests
    kept = {content(digest).name for digest in named}
    for place in (cache_dir() / "contents").iterdir():
        if place.name not in kept and time.time() - place.stat().st_mtime > IN_USE_S:
            place.unlink(missing_ok=True)
