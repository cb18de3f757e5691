"""The engines on this machine: in the installed packages, and in the cache; whether they are what they should be."""

from __future__ import annotations

import base64
import binascii
import importlib.metadata
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lading.engines import cache
from lading.engines.catalogue import NAMES, Engine, load_all
from lading_agent.engines.fetched import RECORD

if TYPE_CHECKING:
    from collections.abc import Sequence

State = Literal["known", "unknown", "damaged"]
"""``known``: what the catalogue pins. ``unknown``: whole, and not in the catalogue. ``damaged``: not what it was."""


@dataclass(frozen=True)
class Found:
    """A library of an engine on this machine."""

    name: str
    version: str
    architecture: str
    where: Literal["package", "cache"]
    path: Path
    state: State


def packages(catalogue: Sequence[Engine] | None = None) -> list[Found]:
    """The libraries in this environment's packages ``wasmtime`` and ``ai-edge-litert``, hashed."""
    engines, found = load_all() if catalogue is None else catalogue, []
    machine = platform.machine()
    for name in NAMES:
        ours = [e for e in engines if e.name == name and machine in e.architectures]
        if not ours:
            continue
        try:
            distribution = importlib.metadata.distribution(ours[0].table.package)
        except importlib.metadata.PackageNotFoundError:
            continue
        pinned = {e.version: e.wheel(machine).library for e in ours}.get(distribution.version)
        member = (pinned or ours[0].wheel(machine).library).member
        path = Path(str(distribution.locate_file(member)))
        try:
            digest = cache.sha256_of(path)
        except OSError:
            digest = ""
        recorded = _recorded(distribution, member)
        state: State = "unknown"
        if pinned is not None and digest == pinned.sha256:
            state = "known"
        elif not digest or (recorded and digest != recorded):
            state = "damaged"
        found.append(Found(name, distribution.version, machine, "package", path, state))
    return found


def cached(catalogue: Sequence[Engine] | None = None) -> list[Found]:
    """The libraries in the cache, hashed; those of earlier catalogues too."""
    engines, found = load_all() if catalogue is None else catalogue, []
    pinned = {e.wheel(a).library.stripped_sha256: (e, a) for e in engines for a in e.architectures}
    root = cache.folder()
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        if len(folder.name) != 64 or not folder.is_dir():
            continue
        engine, architecture = pinned.get(folder.name, (None, ""))
        files = [path for path in sorted(folder.iterdir()) if path.name not in (cache.LICENCE, RECORD)]
        path = files[0] if files else folder
        whole = len(files) == 1 and _digest(path) == folder.name and (folder / cache.LICENCE).is_file()
        state: State = "damaged" if not whole else "known" if engine else "unknown"
        name, version = (engine.name, engine.version) if engine else (path.name, "")
        found.append(Found(name, version, architecture, "cache", path, state))
    order = {(e.name, e.version): i for i, e in enumerate(engines)}
    return sorted(found, key=lambda f: (order.get((f.name, f.version), len(order)), f.architecture))


def _digest(path: Path) -> str:
    try:
        return cache.sha256_of(path)
    except OSError:
        return ""


def _recorded(distribution: importlib.metadata.Distribution, member: str) -> str:
    """A file's SHA-256 as the package's installer wrote it down; empty where it did not."""
    for file in distribution.files or ():
        if str(file) == member and file.hash is not None and file.hash.mode == "sha256":
            value = file.hash.value
            try:
                return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).hex()
            except (binascii.Error, ValueError):
                return ""
    return ""
