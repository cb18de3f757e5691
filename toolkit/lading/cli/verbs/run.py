"""``lading run``: run an app's current release on a device."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from lading.cli.answer import Answer, verb
from lading.cli.invocation import INVOCATION
from lading.cli.options import (
    AllowUnknown,
    AppArgument,
    DeviceArgument,
    Json,
    RuntimeOption,
    guest_text,
    guest_variables,
    parse_size,
    parse_time,
)
from lading.cli.screen import Screen

_PANEL: Final = "With --compare-host"

EPILOG = "Example:  lading run emulated://raspberry-pi-4b digits -- /images"


@verb("run", runs_guest=True)
def run(
    device: DeviceArgument,
    app: AppArgument = None,
    release: Annotated[
        str | None, typer.Option(metavar="RELEASE", help="Another release than the current one.")
    ] = None,
    env: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="Set a variable for the guest.")] = None,
    timeout: Annotated[str | None, typer.Option(metavar="S", help="End the run after this time (60s, 5m).")] = None,
    max_memory: Annotated[str | None, typer.Option(metavar="SIZE", help="Less memory than the app may use.")] = None,
    threads: Annotated[
        int | None, typer.Option(metavar="N", min=0, max=1024, help="Interpreter threads; 0 means all cores.")
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Leave it to the device, which keeps its output: see `lading logs`.")
    ] = False,
    runtime: RuntimeOption = None,
    allow_unknown: AllowUnknown = False,
    tensors: Annotated[bool, typer.Option("--tensors", help="Show each tensor that compute_single yields.")] = False,
    compare_host: Annotated[
        bool,
        typer.Option(
            "--compare-host", help="In place of the app: its bare models, there and here, and where they differ."
        ),
    ] = False,
    project: Annotated[
        Path | None,
        typer.Option(metavar="PROJECT", help="The app's project or bundle; default: here.", rich_help_panel=_PANEL),
    ] = None,
    inputs: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Inputs as .npy files, named after them; a subfolder for each vector. Default: the golden vectors'.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="Only this model.", rich_help_panel=_PANEL)] = None,
    steps: Annotated[
        float | None,
        typer.Option(metavar="N", min=0, help="Quantization steps that integers may be apart.", rich_help_panel=_PANEL),
    ] = None,
    atol: Annotated[
        float | None, typer.Option(metavar="X", min=0, help="How far floats may be apart.", rich_help_panel=_PANEL)
    ] = None,
    rtol: Annotated[
        float | None,
        typer.Option(metavar="X", min=0, help="In addition, as a part of the value.", rich_help_panel=_PANEL),
    ] = None,
    as_json: Json = False,
) -> Answer:
    """Run an app's current release; its output comes as it is made, its exit status is ours.

    With --detach it goes on when this command has ended; the exit status then says whether it began.

    With --runtime it runs on a runtime that the device has of its own, if the check passed it there when it was
    deployed.

    With --compare-host the app's models run on the device and on this machine with the same inputs; exit status 1 when
    outputs are further apart than their golden vectors (else one quantization step) allow.

    What follows -- replaces the arguments that lading.toml gives.

    125 means that lading ended the run, 126 that the guest cannot be run, 127 that device or app are not there.
    """
    from lading.cli.guest_output import GuestOutput, standard_input
    from lading.cli.run_answer import run_document, say_end, say_figures
    from lading.client import connect
    from lading.devices import resolve
    from lading.errors import UsageError

    screen = Screen(as_json=as_json)
    words = INVOCATION.guest_args
    if compare_host:
        from lading.cli.compare_answer import compare
        from lading.numerics.compare_host import Tolerance

        of_the_app = {"release": release, "env": env, "detach": detach, "runtime": runtime, "tensors": tensors}
        _alone(**of_the_app, max_memory=max_memory, guest=words)
        return compare(
            device,
            app,
            project or Path.cwd(),
            inputs=inputs,
            model=model,
            tolerance=Tolerance(steps, atol, rtol),
            timeout_s=parse_time(timeout, "--timeout") if timeout else None,
            threads=threads,
            as_json=as_json,
        )
    _needed(project=project, inputs=inputs, model=model, steps=steps, atol=atol, rtol=rtol)
    output = GuestOutput(screen, tensors=tensors)
    wanted: dict[str, Any] = {
        "args": None if words is None else [guest_text(word, "the argument") for word in words],
        "env": guest_variables(env),
        "release": release,
        "timeout_s": parse_time(timeout, "--timeout") if timeout else None,
        "memory_bytes": parse_size(max_memory, "--max-memory") if max_memory else None,
        "threads": threads,
    }
    if runtime is not None or allow_unknown:
        wanted |= {"runtime": runtime, "allow_unknown": allow_unknown}
    if detach and tensors:
        raise UsageError("a detached run shows no tensors", remedy="leave out --tensors or --detach")
    found = resolve(device)
    with connect(found) as session:
        if detach:
            return _detached(str(found), session.run_detached(app, **wanted))
        result = session.run(app, **wanted, stdin=standard_input(), on_event=output.take)
    output.close()
    document = {
        "device": str(found),
        "app": result.app,
        "release": result.release,
        **run_document(result, output),
    }

    def render(shown: Screen) -> None:
        say_end(shown, result)
        say_figures(shown, result.metrics)

    return Answer(document, render, status=result.status)


def _alone(**options: object) -> None:
    """Options that say how an app is run mean nothing where it is not."""
    from lading.errors import UsageError

    given = [name for name, value in options.items() if value]
    if given:
        what = "arguments after --" if given[0] == "guest" else f"--{given[0].replace('_', '-')}"
        raise UsageError(f"--compare-host runs the models and not the app: {what} means nothing", remedy="leave it out")


def _needed(**options: object) -> None:
    from lading.errors import UsageError

    given = [name for name, value in options.items() if value is not None]
    if given:
        raise UsageError(f"--{given[0]} belongs to --compare-host", remedy="add --compare-host, or leave it out")


def _detached(device: str, run: dict[str, Any]) -> Answer:
    from lading.cli.keeping_answer import say_detached

    return Answer({"device": device, **run}, lambda shown: say_detached(shown, run, device))
