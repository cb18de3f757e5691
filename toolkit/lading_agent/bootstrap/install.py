"""The agent takes its place: from a file that has just arrived to the one that is served, in one rename."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, List, Optional, Set

from lading_agent.bootstrap.answer import refuse
from lading_agent.errors import AgentError, from_os_error
from lading_agent.runs.launch import zipapp_path
from lading_agent.start import code_path
from lading_agent.store.durable import make_dirs, replace_file, sync_dir
from lading_agent.store.layout import Layout
from lading_agent.store.ready import ready_path

if TYPE_CHECKING:
    import argparse

NAME: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_]{0,63}-[0-9a-f]{12}\.pyz")
CURRENT: Final = "current"
PREVIOUS: Final = "previous"
INCOMING: Final = "incoming-"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of ``install``."""
    parser.add_argument("--home", type=Path, required=True, help="the agent's folder")
    parser.add_argument("--name", required=True, help="the file name that this agent gets")
    parser.add_argument("--device", type=Path, required=True, help="the device file that came with it")
    parser.add_argument(
        "--ready", required=True, help="the name of what the client will start (lading_agent.store.ready)"
    )
    parser.add_argument("--below", type=Path, help="the innermost folder on the way home that existed before")


def run(options: argparse.Namespace) -> int:
    """Install the agent that this process runs from, then serve with it in place of this process.

    Returns:
        An exit status, when it did not come to that.
    """
    layout = Layout(options.home.absolute())
    try:
        path = install(layout, options.name, options.device, options.ready, options.below)
    except AgentError as error:
        return refuse(error.to_json())
    except ImportError as error:
        return refuse(
            AgentError(
                "no-python",
                f"the device's Python {sys.version.split()[0]} ({sys.executable}) is cut down: {error}",
                "install the whole standard library (Debian: apt install python3)",
            ).to_json()
        )
    except OSError as error:
        failure = from_os_error(error, f"the agent cannot be put into {layout.home}")
        return refuse(failure.to_json())
    command = [sys.executable, "-I", "-S", str(path), "serve", "--home", str(layout.home)]
    os.execv(sys.executable, command)  # noqa: S606  no shell is wanted
    return 1


def install(layout: Layout, name: str, device: Path, ready: str, below: Optional[Path] = None) -> Path:
    """Put this very zip application, and the device file, where they belong. Each is replaced by rename.

    Args:
        layout: the home's paths.
        name: the file name that the agent gets.
        device: the new device file. What starts by itself gets it as ``device.json``; whoever starts the agent by
            ``ready`` gets the one that came with that.
        ready: the name of what the client will start.
        below: the innermost folder on the way home that existed before.

    Returns:
        The agent's path.

    Raises:
        AgentError: ``usage``, or the home cannot be used.
        OSError: the storage said no.
    """
    archive = zipapp_path()
    if archive is None or not NAME.fullmatch(name):
        raise AgentError("usage", f"{name[:80]!r} cannot be installed", "update lading")
    # What a cut-down Python lacks shows here, and not in the middle of a run.
    import lading_agent.serve.stdio  # noqa: F401

    layout.prepare()
    make_dirs(layout.agent)
    beside = ready_path(layout, ready).with_suffix(".json")
    _remember_made(layout, below)
    doc = json.dumps(json.loads(device.read_bytes()), sort_keys=True).encode()
    for target in (beside, layout.device):
        replace_file(target, doc, layout.scratch())
    device.unlink()
    path = layout.agent / name
    archive.chmod(0o644)
    _sync(archive)
    archive.rename(path)
    _switch(layout, name)
    replace_file(layout.agent / "python", f"{sys.executable}\n".encode("utf-8", "surrogateescape"), layout.scratch())
    clean(layout)
    return path


def roll_back(layout: Layout) -> str:
    """Make the agent before the current one the current one, for what starts on the device by itself.

    Returns:
        Its file name.

    Raises:
        AgentError: ``device``: there is none, or it is damaged: nothing would start any more, this command neither.
    """
    before = _named(layout, PREVIOUS)
    if before is None or not (layout.agent / before).is_file():
        raise AgentError("device", "the device has no earlier agent", "install the one that you want with its lading")
    digest = hashlib.sha256((layout.agent / before).read_bytes()).hexdigest()
    if not before.endswith(f"-{digest[:12]}.pyz"):
        raise AgentError(
            "device",
            f"the earlier agent on the device ({before}) is damaged",
            "install the one that you want with its lading",
        )
    _switch(layout, before)
    return before


def clean(layout: Layout) -> List[str]:
    """Remove agents that are neither current nor previous nor running, and what never got its name.

    Returns:
        The names of what is gone.
    """
    kept = {_named(layout, CURRENT), _named(layout, PREVIOUS)}
    gone: List[str] = []
    for entry in sorted(os.listdir(layout.agent)):  # noqa: PTH208  names are wanted, not paths
        path = layout.agent / entry
        stale = NAME.fullmatch(entry) and entry not in kept and not _runs(path)
        if stale or (entry.startswith(INCOMING) and _is_dead(entry)):
            for file in dict.fromkeys((code_path(path), path)):
                with contextlib.suppress(FileNotFoundError):
                    file.unlink()
            gone.append(entry)
    sync_dir(layout.agent)
    return gone


def _switch(layout: Layout, name: str) -> None:
    now = _named(layout, CURRENT)
    links = [(CURRENT, name)] if now in (None, name) else [(PREVIOUS, str(now)), (CURRENT, name)]
    for link, to in links:
        scratch = layout.scratch()
        scratch.symlink_to(to)
        scratch.rename(layout.agent / link)
    sync_dir(layout.agent)


def _named(layout: Layout, link: str) -> Optional[str]:
    try:
        name = os.readlink(layout.agent / link)  # noqa: PTH115  the text is wanted, not a path
    except OSError:
        return None
    return name if NAME.fullmatch(name) else None


def _runs(path: Path) -> bool:
    """Whether an agent runs from that file: each holds a shared lock on its own (see the zip application's start)."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _is_dead(entry: str) -> bool:
    """Whether the process that an incoming file is named after is gone."""
    word = entry[len(INCOMING) :].partition(".")[0]
    if not word.isdigit() or int(word) == os.getpid():
        return True
    try:
        os.kill(int(word), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def _remember_made(layout: Layout, below: Optional[Path]) -> None:
    """Write down which folders above the home came with it: removing the home removes them too, when they are empty."""
    note = layout.agent / "made"
    if below is None or note.exists():
        return
    made: Set[str] = set()
    folder = layout.home.parent
    while folder != below and below in folder.parents:
        made.add(str(folder))
        folder = folder.parent
    doc = {"schema": 1, "folders": sorted(made, key=len, reverse=True)}
    replace_file(note, json.dumps(doc).encode(), layout.scratch())


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with contextlib.closing(os.fdopen(fd, "rb")):
        os.fsync(fd)
