"""``lading emulate``: run a bare module on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lading.cli.answer import Answer, verb
from lading.cli.invocation import INVOCATION
from lading.cli.options import Json, guest_text, guest_variables, parse_pair, parse_size, parse_time
from lading.cli.screen import Screen
from lading.errors import UsageError

if TYPE_CHECKING:
    from lading.emulate import NamedModel, OpenedDir

EPILOG = "Example:  lading emulate digits.wasm --model digits=digits_int8.tflite --dir images::/images -- /images"


@verb("emulate", runs_guest=True)
def emulate(
    module: Annotated[Path, typer.Argument(metavar="MODULE.wasm", help="A core module for WASI preview 1.")],
    args: Annotated[
        list[str] | None, typer.Argument(metavar="-- ARGS", help="The guest's arguments, best after --.")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE[,KEY=VALUE]…",
            help="A model to load by name. Keys: encoding, target, int8 (as-u8, quantize-f32), state (OUTPUT->INPUT).",
        ),
    ] = None,
    directory: Annotated[
        list[str] | None,
        typer.Option("--dir", metavar="HOST::GUEST[:rw]", help="Open a directory for the guest, read-only unless rw."),
    ] = None,
    names_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Models by path are looked up here, where a personality takes names for host paths."
        ),
    ] = None,
    env: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="Set a variable for the guest.")] = None,
    no_backend: Annotated[bool, typer.Option("--no-backend", help="A host without any inference engine.")] = False,
    personality: Annotated[
        str, typer.Option(metavar="ID", help="The firmware profile whose wasi-nn behaviour is replayed.")
    ] = "lading-litert",
    threads: Annotated[
        int, typer.Option(metavar="N", min=0, max=1024, help="Interpreter threads; 0 means all cores.")
    ] = 1,
    timeout: Annotated[str | None, typer.Option(metavar="S", help="End the run after this time (60s, 5m).")] = None,
    max_memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Guest memory and interpreter together (64MiB).")
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            metavar="HOST",
            help="What runs the guest: auto, python (any profile) or native (lading's own runner, on Linux).",
        ),
    ] = "auto",
    tensors: Annotated[bool, typer.Option("--tensors", help="Show each tensor that compute_single yields.")] = False,
    as_json: Json = False,
) -> Answer:
    """Run a bare module on this machine, as iwasm or wasmedge would: no project, no device needed.

    The exit status is the guest's own; 125 when lading ended the run, 126 when the guest cannot be run, 127 when the
    module is not there.
    """
    from lading.cli.guest_output import GuestOutput, standard_input
    from lading.cli.run_answer import run_document, say_end, say_figures
    from lading.emulate import EmulateOptions, run_spec, runner_command
    from lading_agent.runs import supervise

    screen = Screen(as_json=as_json)
    options = EmulateOptions(
        args=[guest_text(word, "the argument") for word in (*(args or ()), *(INVOCATION.guest_args or ()))],
        env=guest_variables(env),
        models=[parse_model(text) for text in model or ()],
        dirs=[parse_dir(text) for text in directory or ()],
        names_dir=names_dir,
        personality=personality,
        backend=not no_backend,
        threads=threads,
        timeout_s=parse_time(timeout, "--timeout") if timeout else None,
        memory_bytes=parse_size(max_memory, "--max-memory") if max_memory else None,
    )
    spec = run_spec(module, options)
    command = runner_command(host)
    output = GuestOutput(screen, tensors=tensors)
    result = supervise.run(
        spec,
        stdin=standard_input(),
        on_stdout=output.stdout,
        on_stderr=output.stderr,
        on_report=output.report,
        command=command,
    )
    output.close()
    document = {"module": str(module), "personality": personality, **run_document(result, output)}

    def render(shown: Screen) -> None:
        say_end(shown, result)
        if result.metrics.get("inferences"):
            say_figures(shown, result.metrics)

    return Answer(document, render, status=result.status)


def parse_model(text: str) -> NamedModel:
    """``NAME=FILE[,encoding=E][,target=T][,int8=POLICY][,state=OUTPUT->INPUT]…``.

    Raises:
        UsageError: another form, or a key that does not exist.
    """
    from lading.emulate import NamedModel

    head, *rest = text.split(",")
    name, path = parse_pair(head, "--model", "NAME=FILE")
    fields: dict[str, str] = {}
    state: dict[str, str] = {}
    for part in rest:
        key, value = parse_pair(part, "--model key")
        if key == "state":
            output, arrow, target = value.partition("->")
            if not arrow:
                raise UsageError(f"--model state {value!r} is not OUTPUT->INPUT", remedy="write state=OUTPUT->INPUT")
            state[output] = target
        elif key in {"encoding", "target", "int8"}:
            fields[key] = value
        else:
            raise UsageError(f"--model has no key {key!r}", remedy="keys are encoding, target, int8 and state")
    if fields.get("int8", "as-u8") not in {"as-u8", "quantize-f32"}:
        raise UsageError(f"--model int8={fields['int8']!r} is not a policy", remedy="write as-u8 or quantize-f32")
    return NamedModel(name=name, path=Path(path), state=state, **fields)


def parse_dir(text: str) -> OpenedDir:
    """``HOST::GUEST[:rw]``; a lone directory stands for itself, as ``wasmedge`` and ``iwasm`` have it.

    Raises:
        UsageError: an empty part.
    """
    from lading.emulate import OpenedDir

    host, colons, guest = text.partition("::")
    writable = False
    if colons:
        guest, colon, mode = guest.partition(":")
        if colon and mode not in {"rw", "ro"}:
            raise UsageError(f"--dir {text!r}: {mode!r} is not a mode", remedy="write HOST::GUEST or HOST::GUEST:rw")
        writable = mode == "rw"
    else:
        guest = host
    if not host or not guest:
        raise UsageError(f"--dir {text!r} is not HOST::GUEST", remedy="write HOST::GUEST or HOST::GUEST:rw")
    return OpenedDir(Path(host), guest, writable)
