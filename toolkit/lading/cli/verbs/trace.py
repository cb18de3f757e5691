"""``lading trace``: what a guest asks of wasi-nn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lading.cli.answer import Answer, verb
from lading.cli.guest_options import Directories, Models, Timeout, Variables, place_for, subject_options
from lading.cli.options import Json, parse_time
from lading.cli.screen import Screen

if TYPE_CHECKING:
    from lading.trace import Trace, TracedCall

EPILOG = "Example:  lading trace digits.wasm --model digits=digits_int8.tflite --dir images::/images -- /images"


@verb("trace")
def trace(
    subject: Annotated[
        Path, typer.Argument(metavar="SUBJECT", help="A folder with lading.toml, a .lading bundle, or a .wasm file.")
    ],
    model: Models = None,
    directory: Directories = None,
    env: Variables = None,
    timeout: Timeout = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the trace to a file, as JSON.")
    ] = None,
    as_json: Json = False,
) -> Answer:
    """Run a guest once on a host that says yes to everything, and record its wasi-nn calls.

    Types, shapes and sizes of every numbering are taken, so that the whole conversation is seen; from them follows the
    numbering that the guest was built for. What follows -- are the guest's arguments. The guest's own output goes to
    standard error.
    """
    from lading.cli.guest_output import GuestOutput, standard_input
    from lading.trace import open_subject, record
    from lading.trace.record import TIME_S

    screen = Screen(as_json=as_json)
    streams = GuestOutput(screen, quiet=True)
    place_for(output, "--output")
    options = subject_options(model, directory, env)
    with open_subject(subject, options) as opened:
        found = record(
            opened,
            stdin=standard_input(),
            on_stdout=streams.stdout,
            on_stderr=streams.stderr,
            time_s=parse_time(timeout, "--timeout") if timeout else TIME_S,
        )
    document = found.to_json()
    if output is not None:
        _write(output, document)
    said = streams.document()
    document["x-stdout"], document["x-stderr"] = said["stdout"], said["stderr"]
    return Answer(document, lambda shown: _render(shown, found, said), status=0 if found.end.by_itself else 1)


def _write(file: Path, document: dict[str, object]) -> None:
    import json

    file.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _render(screen: Screen, trace: Trace, said: dict[str, object]) -> None:
    for stream in ("stdout", "stderr"):
        text = said[stream]
        if isinstance(text, str) and text:
            for line in text.splitlines()[:20]:
                screen.note(f"guest: {line}")
    rows = [
        [str(c.n), f"{c.times}×" if c.times > 1 else "", c.function, _arguments(c), _answer(c)] for c in trace.calls
    ]
    if rows:
        screen.table(["call", "times", "function", "with", "answer"], rows, right=["call", "times"])
    else:
        screen.say("no wasi-nn call")
    for model in trace.models.values():
        takes = ", ".join(t.describe() for t in model.facts.inputs)
        gives = ", ".join(t.describe() for t in model.facts.outputs)
        shape = f"({takes}) → ({gives})" if not model.facts.error else model.facts.error
        screen.say(f"{model.title} {model.digest[:19]}: {shape}")
    numbering = trace.numbering
    screen.say(f"numbering: {numbering.name} ({numbering.to_json()['about']})", style="bold")
    for told in numbering.evidence:
        screen.say(f"  {told}", style="dim")
    end = trace.end
    if end.by_itself:
        screen.say(f"the guest ended with status {end.status} after {trace.call_count} calls")
    else:
        screen.failure(f"the guest did not get to its end: {end.kind}: {end.message}", "")


def _arguments(traced: TracedCall) -> str:
    """The arguments of a call that tell something."""
    call = traced.call
    args = call.args
    parts = [f"{name} {args[name]}" for name in ("graph", "context", "index") if name in args]
    if call.name is not None:
        parts.append(repr(call.name[:60])[1:])
    if "encoding" in args:
        parts += [f"encoding {args['encoding']}", f"target {args['target']}"]
    if "model" in call.ranges:
        parts.append(f"{call.ranges['model'][1]} bytes")
    if "tensor" in args:
        length = "" if call.data_length is None else f", {call.data_length} bytes"
        parts.append(f"type {call.type_code}, {call.describe_dims()}{length}")
    if "output" in args:
        parts.append(f"room for {call.capacity}")
    bad = [what for what, fine in traced.told.get("readable", {}).items() if not fine]
    if bad:
        parts.append(f"outside memory: {', '.join(bad)}")
    return ", ".join(parts)


def _answer(traced: TracedCall) -> str:
    written = ", ".join(f"{what.removesuffix('-out')} {value}" for what, value in traced.writes.items())
    return traced.outcome + (f" ({written})" if written else "")
