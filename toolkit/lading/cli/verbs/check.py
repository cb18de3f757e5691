"""``lading check``: will it work there?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lading.cli.answer import Answer, verb
from lading.cli.guest_options import Directories, Models, Timeout, Variables, place_for, subject_options
from lading.cli.options import Json, parse_time
from lading.cli.screen import Screen

EPILOG = "Example:  lading check examples/digits --on all"


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
    from lading.cli.check_answer import show_check
    from lading.trace import open_subject, record
    from lading.trace.record import TIME_S

    screen = Screen(as_json=as_json)
    place_for(junit, "--junit")
    options = subject_options(model, directory, env)
    here = subject if subject.is_dir() else Path.cwd()
    wanted = places([word for text in on for word in text.split(",") if word], here, skipped=screen.skipped)
    with open_subject(subject, options) as opened:
        found = record(opened, time_s=parse_time(timeout, "--timeout") if timeout else TIME_S, project_dir=here)
    report = Report(found, tuple(judge(found, place) for place in wanted))
    needed = [word for text in require or () for word in text.split(",") if word]
    status = report.status(needed, allow_unknown=allow_unknown)
    if junit is not None:
        junit.write_text(report.to_junit(), encoding="utf-8")

    def render(shown: Screen) -> None:
        show_check(shown, report)
        if subject.suffix != ".wasm" and any(v.verdict == "fails" for v in report.verdicts):
            shown.note(f"where a variant helps: lading matrix {subject}")

    return Answer({"ok": status == 0, **report.to_json()}, render, status)
