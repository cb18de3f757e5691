"""Engines in the device's store: several versions side by side, one set of them the default.

::

    HOME/engines/NAME-VERSION.json    one part: what it is, and the digests of its library and licences
    HOME/engines/current.json         the default set with all its parts, and the one before it

The files themselves are blobs like any others. ``current.json`` is only ever replaced by rename(2), and holds whole
parts, so that a set stays what it was verified as, whatever becomes of the parts beside it.
"""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Dict, Final, Iterable, List, Mapping, Optional, Set, Tuple

from lading_agent.engines.parts import LITERT, RUNNER, WASMTIME, EngineFile, EngineMissing, EngineSet
from lading_agent.errors import AgentError
from lading_agent.store.durable import make_dirs, replace_json, sync_dir
from lading_agent.store.layout import DIGEST

if TYPE_CHECKING:
    from pathlib import Path

    from lading_agent.engines.identity import Identities
    from lading_agent.store.layout import Layout

SCHEMA: Final = 1
NAMES: Final = (RUNNER, WASMTIME, LITERT)
MOST_BYTES: Final = 1024 * 1024 * 1024
MOST_LICENCES: Final = 32
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,63}")
_ARCHITECTURE = re.compile(r"[a-z0-9_]{1,32}")

Content = Tuple[str, int]
"""Digest and size."""


@dataclass(frozen=True)
class Part:
    """One engine, or the runner: a file and the licences that go with it."""

    name: str
    version: str
    architecture: str
    library: Content
    licences: Tuple[Content, ...] = ()
    minimums: Mapping[str, Any] = field(default_factory=dict)
    """What it needs of the system, as the client said it."""

    @property
    def blobs(self) -> Dict[str, int]:
        """Digest and size of all that belongs to it."""
        return dict((self.library, *self.licences))

    def to_json(self) -> Dict[str, Any]:
        """The part as it stands in its file and on the wire."""
        return {
            "schema": SCHEMA,
            "name": self.name,
            "version": self.version,
            "architecture": self.architecture,
            "library": _content_json(self.library),
            "licences": [_content_json(licence) for licence in self.licences],
            "minimums": dict(self.minimums),
        }

    @classmethod
    def from_json(cls, doc: Any) -> Part:
        """Read a part; nothing of it is believed.

        Raises:
            ValueError: says what is wrong with it.
        """
        if not isinstance(doc, Mapping) or doc.get("schema") != SCHEMA:
            raise ValueError(f"an engine's part is not an object of schema {SCHEMA}")
        name, version, architecture = doc.get("name"), doc.get("version"), doc.get("architecture")
        if name not in NAMES:
            raise ValueError(f"{str(name)[:64]!r} is not one of {', '.join(NAMES)}")
        if not isinstance(version, str) or not _VERSION.fullmatch(version):
            raise ValueError(f"{str(version)[:64]!r} is not the version of a {name}")
        if not isinstance(architecture, str) or not _ARCHITECTURE.fullmatch(architecture):
            raise ValueError(f"{str(architecture)[:64]!r} is not an architecture")
        licences, minimums = doc.get("licences", []), doc.get("minimums", {})
        if not isinstance(licences, list) or len(licences) > MOST_LICENCES or not isinstance(minimums, Mapping):
            raise ValueError(f"licences or minimums of {name} {version} are not what they should be")
        return cls(
            str(name), version, architecture, _content(doc.get("library")), tuple(map(_content, licences)), minimums
        )


def _content(doc: Any) -> Content:
    digest, size = (doc.get("digest"), doc.get("size")) if isinstance(doc, Mapping) else (None, None)
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest) or type(size) is not int:
        raise ValueError("a file of an engine has no digest and size")
    if not 0 <= size <= MOST_BYTES:
        raise ValueError(f"a file of {size} bytes is no engine")
    return digest, size


def _content_json(content: Content) -> Dict[str, Any]:
    return {"digest": content[0], "size": content[1]}


PartSet = Dict[str, Part]
"""Parts by name: all of :data:`NAMES`."""


class StoredEngines:
    """The engines of one store."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.folder = layout.home / "engines"
        self._current = self.folder / "current.json"

    def parts(self) -> List[Part]:
        """Every part that is there."""
        found: List[Part] = []
        with contextlib.suppress(FileNotFoundError):
            for path in sorted(self.folder.glob("*-*.json")):
                with contextlib.suppress(OSError, ValueError, RecursionError):
                    found.append(Part.from_json(json.loads(path.read_bytes())))
        return found

    def default(self) -> Optional[PartSet]:
        """The parts of the default set; None where there is none."""
        return self._set("parts")

    @property
    def is_damaged(self) -> bool:
        """Whether there is a default set that cannot be read."""
        return self._current.exists() and self.default() is None

    def previous(self) -> Optional[PartSet]:
        """The parts of the set that was the default before."""
        return self._set("previous")

    def find(self, wanted: Optional[Mapping[str, str]] = None) -> EngineSet:
        """The files to run with.

        Args:
            wanted: versions by name, in place of the default set's.

        Raises:
            EngineMissing: there are none, or not those.
        """
        parts = self.default()
        if parts is None:
            raise EngineMissing("the device's store holds no engines")
        for name, version in (wanted or {}).items():
            parts[name] = self._part(name, version)
        return self.files(parts)

    def files(self, parts: Mapping[str, Part]) -> EngineSet:
        """The files that parts stand for.

        Raises:
            EngineMissing: one is not there.
        """
        files = {name: self._file(parts[name]) for name in NAMES}
        return EngineSet(files[RUNNER], files[WASMTIME], files[LITERT])

    def finder(self, wanted: Optional[Mapping[str, str]] = None) -> Any:
        """A :data:`lading_agent.runs.choose.Finder` over this store."""

        def find(_: Identities) -> EngineSet:
            return self.find(wanted)

        return find

    def other(self, name: str, version: str) -> EngineFile:
        """An engine by its version, beside the default set.

        Raises:
            EngineMissing: it is not there.
        """
        return self._file(self._part(name, version))

    def record(self, parts: Mapping[str, Part], *, default: bool = True) -> None:
        """Write parts down, and make them the default set unless told otherwise. Their blobs are there."""
        make_dirs(self.folder)
        for part in parts.values():
            replace_json(self._file_of(part.name, part.version), part.to_json(), self._layout.scratch())
        if not default:
            return
        before = self.default()
        kept = self.previous() if before is not None and _same(before, parts) else before
        self._replace(parts, kept)

    def roll_back(self) -> PartSet:
        """Make the set before the default one the default.

        Raises:
            AgentError: ``device``: there is none.
        """
        now, before = self.default(), self.previous()
        if before is None:
            raise AgentError("device", "the device has no earlier set of engines", "install the one that you want")
        self._replace(before, now)
        return before

    def forget(self, needed: Iterable[Mapping[str, str]] = ()) -> List[Part]:
        """Forget parts that neither the default set, nor the one before it, nor ``needed`` versions name."""
        kept = {(name, version) for chosen in needed for name, version in chosen.items()}
        for parts in (self.default(), self.previous()):
            kept |= {(part.name, part.version) for part in (parts or {}).values()}
        gone = [part for part in self.parts() if (part.name, part.version) not in kept]
        for part in gone:
            self._file_of(part.name, part.version).unlink()
        if gone:
            sync_dir(self.folder)
        return gone

    def roots(self) -> Set[str]:
        """The digests, in hexadecimal, of everything that the recorded engines need."""
        found = self.parts()
        for parts in (self.default(), self.previous()):
            found += (parts or {}).values()
        return {digest.rpartition(":")[2] for part in found for digest in part.blobs}

    def _set(self, key: str) -> Optional[PartSet]:
        try:
            docs = json.loads(self._current.read_bytes())[key]
            parts = {part.name: part for part in map(Part.from_json, docs)}
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            return None
        return parts if all(name in parts for name in NAMES) else None

    def _replace(self, parts: Mapping[str, Part], previous: Optional[Mapping[str, Part]]) -> None:
        doc = {
            "schema": SCHEMA,
            "parts": [part.to_json() for part in parts.values()],
            "previous": [part.to_json() for part in previous.values()] if previous else None,
        }
        replace_json(self._current, doc, self._layout.scratch())

    def _part(self, name: str, version: str) -> Part:
        if name in NAMES and _VERSION.fullmatch(version):
            for parts in (self.default(), self.previous()):
                if parts is not None and parts[name].version == version:
                    return parts[name]
            with contextlib.suppress(OSError, ValueError, RecursionError):
                return Part.from_json(json.loads(self._file_of(name, version).read_bytes()))
        raise EngineMissing(f"the device's store holds no {name} {version}")

    def _file_of(self, name: str, version: str) -> Path:
        return self.folder / f"{name}-{version}.json"

    def _file(self, part: Part) -> EngineFile:
        path = self._layout.blob(part.library[0])
        try:
            size = path.stat().st_size
        except OSError:
            raise EngineMissing(f"{part.name} {part.version} is gone from the device's store ({path})") from None
        if size != part.library[1]:
            raise EngineMissing(f"{part.name} {part.version} has {size} bytes instead of {part.library[1]} ({path})")
        return EngineFile(part.name, part.version, path, part.library[0])


def _same(one: Mapping[str, Part], other: Mapping[str, Part]) -> bool:
    return {name: part.library for name, part in one.items()} == {name: p.library for name, p in other.items()}
