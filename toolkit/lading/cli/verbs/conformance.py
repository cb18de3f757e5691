"""``lading conformance``: hold a runtime against a firmware profile, item by item."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lading.cli.answer import Answer, verb
from lading.cli.guest_options import place_for
from lading.cli.options import Json
from lading.cli.screen import Screen
from lading.cli.verbs.probe import Dots, Unsafe
from lading.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lading.client import Session
    from lading.conformance.run import Conformance
    from lading.profiles import FirmwareProfile

EPILOG = "Example:  lading conformance --command 'wasmedge --dir .:. {module}' --personality wasmedge-0.17"


@verb("conformance")
def conformance(
    device: Annotated[str | None, typer.Argument(metavar="[DEVICE]", help="A device to judge.")] = None,
    personality: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="The firmware profile that is expected. Alone: judge lading's own emulation of it. "
            "Default: the device's own; wasi-nn-witx for a command.",
        ),
    ] = None,
    command: Annotated[
        str | None,
        typer.Option(metavar="COMMAND", help="Judge a runtime's own command line; {module} is the guest's path."),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(
            metavar="python|native", help="With --personality alone: judge this host of lading's, without a device."
        ),
    ] = None,
    unsafe: Unsafe = False,
    group: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this group of cases.")] = None,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Guests that run at the same time.")] = 2,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit XML as well.")] = None,
    as_json: Json = False,
) -> Answer:
    """Run the conformance suite: on a device, on an emulated firmware, or under any runtime's command line.

    Exit status 0 when no item failed, 1 when one did.
    """
    from lading import profiles

    screen = Screen(as_json=as_json)
    place_for(junit, "--junit")
    if device is not None and command is not None:
        raise UsageError("a device and --command are two things to judge", remedy="give one of them")
    if device is None and command is None and personality is None:
        raise UsageError("there is nothing to judge", remedy="give a device, --command or --personality")
    if host is not None and (device is not None or command is not None):
        raise UsageError("--host chooses among lading's own hosts", remedy="give it with --personality alone")
    expected = profiles.find(personality, Path.cwd()) if personality else None
    with Dots(screen, "conformance") as dots:
        if command is not None:
            result = _command(command, expected or profiles.find("wasi-nn-witx"), unsafe, group or [], jobs, dots)
        elif host is not None and expected is not None:
            result = _host(host, expected, unsafe, group or [], jobs, dots)
        else:
            result = _device(device, expected, unsafe, group or [], jobs, dots)
    if junit is not None:
        from lading.conformance.junit import junit as to_junit

        junit.write_text(to_junit(result), encoding="utf-8")
    return Answer(result.to_json(), lambda shown: _show(shown, result), 0 if result.passed else 1)


class _Counter:
    def __init__(self, tell: Callable[[int, int], None]) -> None:
        self._tell = tell
        self._done = self._total = 0

    def asked(self, count: int) -> None:
        self._total += count

    def ended(self) -> None:
        self._done += 1
        self._tell(self._done, self._total)


def _command(
    command: str, expected: FirmwareProfile, unsafe: bool, only: list[str], jobs: int, dots: Dots
) -> Conformance:
    from lading.conformance.run import conform
    from lading.probe.runners import CommandRunner

    counter = _Counter(dots.progress)
    runner = CommandRunner(command, at_once=jobs, on_guest=counter.ended)
    return conform(runner, expected, command, unsafe=unsafe, only=only, named=runner.names, on_round=counter.asked)


def _host(host: str, expected: FirmwareProfile, unsafe: bool, only: list[str], jobs: int, dots: Dots) -> Conformance:
    from lading.conformance.run import conform
    from lading.emulate import runner_command
    from lading.probe.local import LocalRunner
    from lading_agent.runs.choose import NATIVE
    from lading_agent.runs.native import unspoken

    unknown = unspoken(expected.resolved()) if host == NATIVE else ""
    if unknown:
        raise UsageError(f"the native host does not speak {expected.id}: {unknown}", remedy="give --host python")
    counter = _Counter(dots.progress)
    runner = LocalRunner(expected.resolved(), runner_command(host), at_once=jobs, on_guest=counter.ended)
    return conform(runner, expected, f"{host} host", unsafe=unsafe, only=only, on_round=counter.asked)


def _device(
    device: str | None, expected: FirmwareProfile | None, unsafe: bool, only: list[str], jobs: int, dots: Dots
) -> Conformance:
    from lading.client import connect
    from lading.conformance.run import conform
    from lading.devices import resolve
    from lading.probe.runners import AgentRunner

    with contextlib.ExitStack() as stack:
        session: Session
        if device is None:
            assert expected is not None
            session, subject = stack.enter_context(_emulated(stack, expected)), f"emulated {expected.id}"
        else:
            found = resolve(device)
            session, subject = stack.enter_context(connect(found)), str(found)
        wanted = expected or _own_profile(session, subject)
        counter = _Counter(dots.progress)
        width = jobs if device is None or subject.startswith("emulated") else 1
        runner = AgentRunner(session, at_once=min(width, 4, (os.cpu_count() or 1) + 1), on_guest=counter.ended)
        return conform(runner, wanted, subject, unsafe=unsafe, only=only, on_round=counter.asked)


def _emulated(stack: contextlib.ExitStack, profile: FirmwareProfile) -> Session:
    """A device for this one run: the generic board with that firmware, its state in a scratch folder."""
    from lading import targets
    from lading.client import Session
    from lading.links.emulated import open_emulated

    home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lading-conformance-")))
    link = open_emulated(home, targets.find("x86-64").resolved(), profile.resolved(), f"emulated {profile.id}")
    return Session(link)


def _own_profile(session: Session, subject: str) -> FirmwareProfile:
    from lading import profiles

    id_ = session.hello.profile.get("id")
    if not id_:
        raise UsageError(f"{subject} does not say which firmware profile it has", remedy="give --personality ID")
    return profiles.find(str(id_), Path.cwd())


def _show(screen: Screen, result: Conformance) -> None:
    screen.say(f"{result.subject}, expected: {result.profile}", style="bold")
    by_group: dict[str, list[str]] = {}
    for verdict in result.verdicts:
        by_group.setdefault(verdict.group, []).append(verdict.state)
    states = ("passed", "failed", "skipped")
    screen.table(
        ["group", *states],
        [[g, *(str(found.count(s)) for s in states)] for g, found in by_group.items()],
        right=states,
    )
    failed = [v for v in result.verdicts if v.state == "failed"]
    if failed:
        screen.table(
            ["failed item", "what is asked", "call", "expected", "got"],
            [[v.item, v.about, v.call, v.expected, v.actual] for v in failed],
        )
    text = f"{result.count('passed')} passed, {result.count('failed')} failed, {result.count('skipped')} skipped"
    screen.say(text, style="green" if result.passed else "bold red")
