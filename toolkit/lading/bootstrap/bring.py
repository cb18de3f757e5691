"""Bringing agent and engines onto a device that lacks them, or has others."""

from __future__ import annotations

import contextlib
import json
import re
from typing import TYPE_CHECKING, Final

from lading.bootstrap import judge
from lading.bootstrap.cargo import engines_folder
from lading.bootstrap.check import make_check
from lading.bootstrap.device import device_document
from lading.bootstrap.look import look
from lading.bootstrap.shell import sh
from lading.bootstrap.stages import Stage
from lading.bootstrap.start import listen
from lading.client.connection import FIRST_WORD_S, Connection
from lading.client.failures import from_agent
from lading.client.installing import install_engines, mark_ready
from lading.errors import AgentFailed, DeviceUnreachable, LadingError, NoPython, NoSpace
from lading.links.finish import SLOWEST
from lading.links.host import Learner

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lading.bootstrap.cargo import Cargo
    from lading.bootstrap.look import Look
    from lading.bootstrap.stages import OnStage
    from lading.bootstrap.start import AgentLink, Started
    from lading.engines import EnginePart
    from lading.links.host import Host

CHUNK: Final = 64 * 1024
DEFLATED: Final = 0.42
"""How much of agent and engines is left when a line deflates them."""
WORTH_TELLING_S: Final = 20.0
FAST_BAUD: Final = 921600

# Reads agent and device file from standard input, believes the agent only if it has the right digest, writes both and
# becomes the agent's `install`. No quotes, no backslashes, no "!": it stands inside of two kinds of quotes already.
_TAKE: Final = (
    "import sys,os,hashlib;a=sys.argv;b=bytearray();n=int(a[2]);m=n+int(a[3]);"
    "[b.extend(os.read(0,m-len(b)) or sys.exit(45)) for _ in iter(lambda:len(b)<m,False)];"
    "hashlib.sha256(b[:n]).hexdigest()==a[4] or sys.exit(44);"
    "f=open(a[1],a[5]);f.write(b[:n]);f.flush();os.fsync(f.fileno());f.close();"
    "f=open(a[6],a[5]);f.write(b[n:]);f.close();"
    "os.execv(sys.executable,[sys.executable]+a[7:])"
)
CUT_SHORT, DAMAGED = 45, 44


def bring(host: Host, home: str, cargo: Cargo, on_stage: OnStage, project_dir: Path | None = None) -> None:
    """Bring everything to a device, after a look at it; each step is atomic, and another try goes on from there.

    Args:
        host: the device.
        home: see :func:`lading.bootstrap.shell.home_text`.
        cargo: what is brought.
        on_stage: told of each stage.
        project_dir: the project whose targets count as well.

    Raises:
        NoPython, EngineUnfit, HomeUnusable, NoSpace: the device cannot take it. Nothing was sent.
        NoSuchEngine, EngineUnreachable, EngineDamaged: the engines cannot be had here. Nothing was sent.
        EngineFailed: they were sent, and do not work on the device.
        LockHeld, LinkLost, DeviceUnreachable: as their names say.
    """
    where = host.description
    on_stage(Stage("look", "looking at the device"))
    seen = look(host, home)
    if isinstance(host, Learner):
        host.learn(seen.facts)
    judge.check_look(seen, where)
    python = judge.python_of(seen, where)
    judge.check_home(seen, where)
    engines = _engines(seen, where, cargo, on_stage)
    judge.check_space(seen, where, 2 * len(cargo.agent) + sum(part.size for part in engines))
    _tell_the_time(host, sum(part.size for part in engines) + len(cargo.agent), on_stage)
    link = _bring_agent(host, home, python, cargo, seen, on_stage, project_dir)
    connection = _connect(link)
    try:
        if engines:
            _bring_engines(connection, engines, cargo, on_stage)
        else:
            mark_ready(connection, cargo.ready)
    finally:
        connection.close()


def _tell_the_time(host: Host, size: int, on_stage: OnStage) -> None:
    """On a line whose speed is known, say how long it will take before it begins."""
    from lading.units import format_size

    rate: float | None = getattr(host, "bytes_per_second", None)
    if rate is None or size * DEFLATED / rate < WORTH_TELLING_S:
        return
    seconds = size * DEFLATED / rate
    text = f"{format_size(size)} to bring: about {max(1, round(seconds / 60))} min at {round(rate * 10)} baud"
    if rate * 10 < FAST_BAUD:
        faster = max(1, round(seconds / 60 * rate * 10 / FAST_BAUD))
        text += f"; with ?speed={FAST_BAUD} in the address about {faster} min, if the line bears it"
    on_stage(Stage("line", f"{text}. It can be broken off; the next try goes on from there"))


def _engines(seen: Look, where: str, cargo: Cargo, on_stage: OnStage) -> Sequence[EnginePart]:
    """The engines for the device, on this machine; none where it has a runtime that the agent can use instead."""
    from lading.engines import default_set

    reasons = judge.engine_reasons(seen)
    if reasons:
        usable = {entry["command"]["runtime"] for entry in cargo.runtimes}
        found = [r for r in seen.facts.get("runtimes") or () if r["command"] in usable]
        if found:
            named = ", ".join(f"{r['name']} {r['version']}".rstrip() for r in found)
            on_stage(Stage("look", f"without an engine of lading's own ({reasons[0]}); it has {named}"))
            return ()
        judge.refuse_engines(seen, where, reasons)
    return default_set(
        seen.architecture,
        folder=engines_folder(),
        progress=lambda name, done, total: on_stage(Stage("fetch", f"fetching {name}", done, total)),
    )


def _bring_agent(
    host: Host,
    home: str,
    python: str,
    cargo: Cargo,
    seen: Look,
    on_stage: OnStage,
    project_dir: Path | None,
) -> AgentLink:
    """Send the agent and the device file in one go; the same command then is the agent."""
    document = {**device_document(seen, cargo.profile, project_dir), "runtimes": list(cargo.runtimes)}
    device = json.dumps(document, sort_keys=True).encode()
    link = host.start(install_line(home, python, cargo, len(device)))
    data = cargo.agent + device
    text = f"bringing the agent ({cargo.file_name})"
    with contextlib.suppress(OSError):  # it ended early: what it said tells why
        for at in range(0, len(data), CHUNK):
            on_stage(Stage("agent", text, at, len(data)))
            link.write(data[at : at + CHUNK])
    on_stage(Stage("agent", text, len(data), len(data)))
    began = listen(link, FIRST_WORD_S + len(data) / SLOWEST)
    if began.link is None:
        raise _not_installed(host.description, began, link.exit_status())
    return began.link


def install_line(home: str, python: str, cargo: Cargo, device_size: int) -> str:
    """The command that takes the agent from its standard input, installs it and serves.

    Raises:
        NoPython: the device's Python lies where no shell could be told.
    """
    if re.search(r"[\"'!\\`$\s]", python):
        raise NoPython(f"the device's Python lies at {python!r}", remedy="put one at a path without such characters")
    return sh(
        f'umask 022; h="{home}"; d="$h"; until [ -z "$d" ] || [ -d "$d" ]; do d="${{d%/*}}"; done; '
        f't="$h/agent/incoming-$$.pyz"; mkdir -p "$h/agent" && "{python}" -I -S -c "{_TAKE}" '
        f'"$t" {len(cargo.agent)} {device_size} {cargo.digest} xb "$t.device" '
        f'-I -S "$t" install --home "$h" --name {cargo.file_name} --device "$t.device" --ready {cargo.ready} '
        '--below "${d:-/}"; s=$?; rm -f "$t" "$t.device"; exit $s'
    )


def _not_installed(where: str, began: Started, status: int | None) -> LadingError:
    for answer in began.answers:
        error = answer.get("error")
        if isinstance(error, dict):
            return from_agent({**error, "message": f"{where}: {error.get('message')}"})
    low = began.said.lower()
    last = began.said.splitlines()[-1][:300] if began.said else ""
    if any(text in low for text in judge.ENOSPC_TEXTS):
        return NoSpace(
            f"{where} has no space left for the agent: {last}",
            remedy="remove files on the device, or give a home on another file system: ?home=/path",
        )
    if "ModuleNotFoundError" in began.said or "ImportError" in began.said:
        return NoPython(
            f"{where}: the device's Python is cut down: {last}",
            remedy="install the whole standard library (Debian: apt install python3)",
        )
    if status in {CUT_SHORT, None}:
        return DeviceUnreachable(
            f"{where}: the connection ended while the agent was sent",
            remedy="try again: nothing half-done is used",
            details={"said": began.said[-2000:]},
        )
    what = "what arrived is not what was sent" if status == DAMAGED else last or f"its installation ended with {status}"
    return AgentFailed(
        f"{where}: the agent could not be installed: {what}",
        remedy="see what the device says, and whether its storage is sound",
        details={"said": began.said[-2000:], "status": status},
    )


def _connect(link: AgentLink) -> Connection:
    try:
        return Connection(link)
    except BaseException:
        link.close()
        raise


def _bring_engines(connection: Connection, engines: Sequence[EnginePart], cargo: Cargo, on_stage: OnStage) -> None:
    named = ", ".join(f"{part.name} {part.version}" for part in engines)
    f32 = cargo.profile["abi"]["tensor_types"]["f32"]
    install_engines(
        connection,
        engines,
        make_check(int(f32)),
        ready=cargo.ready,
        progress=lambda done, total: on_stage(Stage("engines", f"bringing the engines ({named})", done, total)),
        on_event=lambda name, _: on_stage(Stage("check", "trying the engines")) if name == "check" else None,
    )
