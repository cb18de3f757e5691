"""Serving on standard input and output."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, List, Mapping, Optional

from lading_agent.engines.fetched import fetched
from lading_agent.engines.stored import StoredEngines
from lading_agent.errors import AgentError
from lading_agent.keep.surroundings import Surroundings
from lading_agent.runs.choose import Chooser, Others, installed_packages
from lading_agent.serve.device import Served, read_device
from lading_agent.serve.server import Server
from lading_agent.store.layout import Layout
from lading_agent.store.steps import OnStep, Steps

if TYPE_CHECKING:
    from lading_agent.runs.launch import RunnerCommand

PIPE_BYTES: Final = 1024 * 1024
F_SETPIPE_SZ: Final = 1031
"""Python calls it by name from 3.10 on."""


def serve_stdio(
    home: Path,
    device: Optional[Path] = None,
    *,
    on_step: Optional[OnStep] = None,
    runner: Optional[RunnerCommand] = None,
    surroundings: Optional[Surroundings] = None,
) -> int:
    """Serve the device whose home is ``home`` until standard input ends.

    Args:
        home: the agent's folder.
        device: the device file; ``device.json`` in the home by default.
        on_step: called with the name of each step of a push before it is taken.
        runner: how a run is started; by default whichever of lading's hosts fits the firmware profile.
        surroundings: how processes that outlive this one are started.

    Returns:
        An exit status.
    """
    try:
        served = open_served(home, device, on_step=on_step, runner=runner, surroundings=surroundings)
    except AgentError as error:
        sys.stderr.write(f"lading agent: {error.message}; {error.remedy}\n")
        return 1
    reading, writing = _take_over()
    _widen(reading)
    return Server(
        served,
        lambda limit: os.read(reading, limit),
        lambda data: _write_all(writing, data),
        read_into=lambda view: os.readv(reading, [view]),
    ).serve()


def open_served(
    home: Path,
    device: Optional[Path] = None,
    *,
    on_step: Optional[OnStep] = None,
    runner: Optional[RunnerCommand] = None,
    surroundings: Optional[Surroundings] = None,
) -> Served:
    """The device whose home is ``home``, for whichever process of its agent; arguments as :func:`serve_stdio`.

    Raises:
        AgentError: its device file cannot be read.
    """
    layout = Layout(home.absolute())
    doc = read_device(device if device is not None else layout.device)
    return Served(
        layout,
        doc["target"],
        doc["profile"],
        Steps(on_step),
        runner if runner is not None else _chooser(layout, doc),
        emulated=doc.get("emulated") is True,
        device_file=device,
        surroundings=surroundings if surroundings is not None else Surroundings(),
        runtimes=_runtimes(doc.get("runtimes")),
    )


def _runtimes(docs: Any) -> List[Mapping[str, Any]]:
    """What the device file says of other runtimes; it is our own client's word."""
    found = docs if isinstance(docs, list) else []
    return [doc for doc in found if isinstance(doc, Mapping) and isinstance(doc.get("command"), Mapping)]


def _chooser(layout: Layout, doc: Mapping[str, Any]) -> Chooser:
    """A device's own engines come first; those of installed packages serve where it has none."""
    stored = StoredEngines(layout)
    others: List[Others] = [stored.other]
    if isinstance(doc.get("engines"), str):  # an emulated device: what was fetched on this machine is to be had as well
        others.append(fetched(Path(doc["engines"])))
    return Chooser(cache=layout.cache, finders=(stored.finder(), installed_packages()), others=others)


def _take_over() -> tuple[int, int]:
    """Keep standard input and output for the protocol: whatever else prints goes to standard error."""
    reading, writing = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return reading, writing


def _widen(fd: int) -> None:
    """Fewer turns between the SSH server and us; and what a pipe holds when a connection breaks has arrived."""
    with contextlib.suppress(OSError):  # no pipe, or the user has many that are wide
        fcntl.fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
