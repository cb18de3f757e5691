"""The runtimes that a device has of its own: where they are, and their releases.

What is known of runtimes (their programs, how they are started, which firmware profile stands for which release) comes
with the device file; nothing of it is in here. Which profile a runtime was measured to have is kept in
``HOME/runtimes.json``.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Final, List, Mapping, Optional, Protocol, Tuple, runtime_checkable

from lading_agent.engines.identity import state_of
from lading_agent.errors import AgentError
from lading_agent.facts.software import parse_version
from lading_agent.runs.program import Program, covers
from lading_agent.store.durable import make_dirs, replace_json

if TYPE_CHECKING:
    from lading_agent.serve.device import Served
    from lading_agent.serve.exchange import Exchange

OWN: Final = "lading"
"""The runtime that is lading's own."""
VERSION_TIME_S: Final = 15.0
LINKS: Final = "links"


def runtimes(served: Served, exchange: Exchange) -> Dict[str, Any]:
    """Answer the request ``runtimes``: those that are there; with ``measured``, keep what was found out of one."""
    measured = exchange.fields.optional_text("measured")
    if measured is not None:
        program = require(served, exchange.fields.text("name", limit=64))
        _keep_measured(served, program, measured)
    found = [] if served.emulated else names(served)
    return {"runtimes": [_told(served, _program(served, name)) for name in found]}


def names(served: Served) -> List[str]:
    """The runtimes that can be used on this device besides lading's own.

    On an emulated device it is the one that its firmware profile stands for, and the profile's replay is what runs.
    """
    if served.emulated:
        name = (served.profile.get("command") or {}).get("runtime")
        return [name] if isinstance(name, str) and name else []
    known = dict.fromkeys(str(entry["command"]["runtime"]) for entry in served.runtimes)
    return [name for name in known if _find(served, name) is not None]


@runtime_checkable
class Limited(Protocol):
    """A :data:`~lading_agent.runs.launch.RunnerCommand` that may have nothing to run guests with."""

    def unable(self) -> str:
        """Why it cannot run any; empty when it can."""
        ...


def own_unable(served: Served) -> str:
    """Why lading's own hosts run nothing on this device; empty when they do."""
    return served.runner.unable() if not served.emulated and isinstance(served.runner, Limited) else ""


def refuse_without_own(served: Served, app: str) -> None:
    """Refuse an app that is to run on one of lading's hosts where there is none.

    Raises:
        AgentError: ``check-refused``.
    """
    why = own_unable(served)
    if why:
        others = names(served)
        remedy = "use another device"
        if others:
            remedy = f"use {' or '.join(others)}, which is there (--runtime, or runtime in lading.toml), or {remedy}"
        raise AgentError(
            "check-refused",
            f"{app} is to run on lading's own runner, and this device has no engine for it: {why}",
            remedy,
        )


def acted(served: Served, name: str) -> bool:
    """Whether that runtime is lading's own, or is played by the host that replays the firmware profile."""
    return name == OWN or (served.emulated and name in names(served))


def require(served: Served, name: str) -> Program:
    """A runtime that the device has.

    Raises:
        AgentError: ``check-refused``: it has none of that name.
    """
    if served.emulated or name not in names(served):
        has = ", ".join(names(served)) or "none besides lading's own"
        where = "emulated firmware" if served.emulated else "device"
        raise AgentError(
            "check-refused",
            f"this {where} has no runtime {name[:64]!r}; it has {has}",
            f"install {name[:64]} on the device, use another runtime (--runtime, or runtime in lading.toml), "
            "or another device",
        )
    return _program(served, name)


def _program(served: Served, name: str) -> Program:
    entry, path = _find(served, name) or ({}, Path(name))
    version = _version(served, name, path)
    chosen = next(iter(_standing(served, name, version)), entry)
    return Program(
        name,
        str(path),
        version,
        dict(chosen.get("command") or {}),
        dict(chosen.get("statuses") or {}),
        str(served.layout.cache / LINKS),
    )


def _find(served: Served, name: str) -> Optional[Tuple[Mapping[str, Any], Path]]:
    """The first program of that runtime: on the search path, then in the places that installers choose."""
    for entry in served.runtimes:
        command = entry["command"]
        if command["runtime"] != name:
            continue
        places = os.pathsep.join(str(_at(place)) for place in command.get("places") or ())
        searched = os.pathsep.join(path for path in (os.environ.get("PATH", os.defpath), places) if path)
        path = shutil.which(str(command["program"]), path=searched)
        if path is not None:
            return entry, Path(path).absolute()
    return None


def _at(place: Any) -> Path:
    """A place that an installer chooses; ``~`` is the user's home, where he has one."""
    try:
        return Path(str(place)).expanduser()
    except RuntimeError:
        return Path(str(place))


def _standing(served: Served, name: str, version: str) -> List[Mapping[str, Any]]:
    """The profiles that stand for a release of a runtime; the one that was measured is the only one."""
    measured = _measured(served).get(name)
    entries = [e for e in served.runtimes if e["command"]["runtime"] == name]
    if isinstance(measured, Mapping) and version and measured.get("version") == version:
        return [e for e in entries if e["id"] == measured.get("profile")]
    return [e for e in entries if covers(e["command"], version)]


def _told(served: Served, program: Program) -> Dict[str, Any]:
    measured = _measured(served).get(program.name)
    known = (
        isinstance(measured, Mapping)
        and program.version
        and measured.get("version") == program.version
        and isinstance(measured.get("profile"), str)
    )
    return {
        "name": program.name,
        "path": program.path,
        "version": program.version,
        "profiles": [measured["profile"]]
        if isinstance(measured, Mapping) and known
        else [str(e["id"]) for e in _standing(served, program.name, program.version)],
        "measured": bool(known),
    }


def _version(served: Served, name: str, path: Path) -> str:
    """What ``PROGRAM --version`` says; asked again when the program's file changed."""
    cache = served.layout.cache / "runtimes.json"
    known = _read(cache)
    try:
        state = state_of(path)
    except OSError:
        return ""
    entry = known.get(str(path))
    if isinstance(entry, Mapping) and entry.get("state") == state and isinstance(entry.get("version"), str):
        return str(entry["version"])
    try:
        said = subprocess.run(
            [str(path), "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=VERSION_TIME_S,
            check=False,
        ).stdout.decode("utf-8", "replace")
    except (OSError, subprocess.SubprocessError):
        return ""
    version = parse_version(name, said)
    with contextlib.suppress(OSError, AgentError):
        make_dirs(served.layout.cache)
        replace_json(cache, {**known, str(path): {"state": state, "version": version}}, served.layout.scratch())
    return version


def _measured(served: Served) -> Mapping[str, Any]:
    return _read(served.layout.home / "runtimes.json")


def _keep_measured(served: Served, program: Program, profile: str) -> None:
    """Remember which firmware profile a runtime was measured to have; nothing: forget it."""
    known = dict(_measured(served))
    known.pop(program.name, None)
    if profile:
        known[program.name] = {"version": program.version, "profile": profile}
    replace_json(served.layout.home / "runtimes.json", known, served.layout.scratch())


def _read(path: Path) -> Dict[str, Any]:
    try:
        doc = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return doc if isinstance(doc, dict) else {}
