"""``lading check``: will it work there?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lading.cli.answer import Answer, verb
from lading.cli.guest_options import Directories, Models, Timeout, Variables, subject_options
from lading.cli.options import Json, parse_time

if TYPE_CHECKING:
    from lading.check.report import Report
    from lading.check.verdict import Verdict
    from lading.cli.screen import Screen

EPILOG = "Example:  lading check examples/digits --on all"

_LONGEST = 110


@verb("check")
def check(
    subject: Annotated[
        Path, typer.Argument(metavar="SUBJECT", help="A folder with lading.toml, a .lading bundle, or a .wasm file.")
    ],
    on: Annotated[
        list[str],
        typer.Option("--on", metavar="TARGET|PROFILE|DEVICE|all", help="Where it is to run; may be given repeatedly."),
    ],
    require: Annotated[
        list[str] | None,
        typer.Option(metavar="all|PROFILE,…", help="What has to be ok for exit status 0; else one is enough."),
    ] = None,
    allow_unknown: Annotated[bool, typer.Option("--allow-unknown", help="'unknown' is good enough.")] = False,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit XML as well.")] = None,
    model: Models = None,
    directory: Directories = None,
    env: Variables = None,
    timeout: Timeout = None,
    as_json: Json = False,
) -> Answer:
    """Say beforehand whether a guest with its models works on a board or firmware, and if not, at which call and why.

    The guest runs once, on this machine, on a host that records what it asks for; that is held against what is known of
    each firmware. Exit status 0: at least one is ok (see --require); 1: none is.
    """
    from lading.check.judge import judge
    from lading.check.places import places
    from lading.check.report import Report
    from lading.trace import open_subject, record
    from lading.trace.record import TIME_S

    options = subject_options(model, directory, env)
    here = subject if subject.is_dir() else Path.cwd()
    wanted = places([word for text in on for word in text.split(",") if word], here)
    with open_subject(subject, options) as opened:
        found = record(opened, time_s=parse_time(timeout, "--timeout") if timeout else TIME_S, project_dir=here)
    report = Report(found, tuple(judge(found, place) for place in wanted))
    needed = [word for text in require or () for word in text.split(",") if word]
    status = report.status(needed, allow_unknown=allow_unknown)
    if junit is not None:
        junit.write_text(report.to_junit(), encoding="utf-8")
    return Answer({"ok": status == 0, **report.to_json()}, lambda shown: _render(shown, report), status)


def _render(screen: Screen, report: Report) -> None:
    targets = any(v.target for v in report.verdicts)
    rows = [
        [
            *([v.target or "–"] if targets else []),
            v.profile,
            v.verdict,
            v.known_by,
            v.where or "–",
            v.answer or "–",
            _short(v.reason or "; ".join(v.warnings)),
        ]
        for v in report.verdicts
    ]
    columns = ["profile", "verdict", "known by", "at", "answer", "why"]
    _matrix(screen, ["target", *columns] if targets else columns, rows)
    if len(report.verdicts) <= 3:
        for v in report.verdicts:
            _explain(screen, v)
    counts = {word: sum(v.verdict == word for v in report.verdicts) for word in ("ok", "fails", "unknown")}
    screen.say(", ".join(f"{n} {word}" for word, n in counts.items() if n), style="bold")


def _matrix(screen: Screen, columns: list[str], rows: list[list[str]]) -> None:
    """One line a row, whatever the width: a terminal's edge cuts the last column, a pipe gets all of it."""
    from rich.text import Text

    from lading.cli.screen import STYLES
    from lading.cli.streams import visible

    widths = [max(len(row[n]) for row in [columns, *rows]) for n in range(len(columns) - 1)]
    screen.say("  ".join([*(c.ljust(w) for c, w in zip(columns, widths, strict=False)), columns[-1]]), style="bold")
    for row in rows:
        line = Text()
        for n, cell in enumerate(row):
            line.append(visible(cell), style=STYLES.get(cell, ""))
            line.append(" " * (widths[n] - len(cell) + 2) if n < len(widths) else "")
        line.rstrip()
        if sys.stdout.isatty():
            screen.out.print(line, no_wrap=True, overflow="ellipsis", soft_wrap=False)
        else:
            screen.out.print(line, soft_wrap=True)


def _explain(screen: Screen, v: Verdict) -> None:
    if v.reason:
        screen.say(f"{v.profile}: {v.reason}")
    if v.remedy:
        screen.say(f"  remedy: {v.remedy}")
    for warning in v.warnings:
        screen.say(f"  note: {warning}", style="yellow")
    if v.handled:
        screen.say("  the guest got the same answer in the trace and went on: deploy lets it pass")


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
