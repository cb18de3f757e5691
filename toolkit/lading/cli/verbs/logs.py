"""``lading logs``: what a detached run or a service has written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lading.cli.answer import Answer, verb
from lading.cli.options import AppArgument, DeviceArgument, Json
from lading.cli.screen import Screen

if TYPE_CHECKING:
    from lading.client import Event

EPILOG = "Example:  lading logs -f emulated://raspberry-pi-4b digits"


@verb("logs")
def logs(
    device: DeviceArgument,
    app: AppArgument = None,
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Go on until the run ends, or Ctrl-C (status 130).")
    ] = False,
    lines: Annotated[int | None, typer.Option(metavar="N", min=0, help="Only the last N lines.")] = None,
    run: Annotated[
        str | None, typer.Option(metavar="ID", help="This run's number, or `service`; the newest one else.")
    ] = None,
    as_json: Json = False,
) -> Answer:
    """Show what a detached run, or a service, has written: its bytes as they are, to the stream they were written to.

    Without --run: the newest run that goes on, else the service, else the newest run. The device keeps the last
    2 MiB of each.
    """
    from lading.cli.guest_output import GuestOutput
    from lading.cli.keeping_answer import say_kept_end
    from lading.client import connect
    from lading.client.events import Lost
    from lading.devices import resolve

    screen = Screen(as_json=as_json)
    output = GuestOutput(screen)
    missed = 0

    def take(event: Event) -> None:
        nonlocal missed
        if isinstance(event, Lost):
            missed += event.octets
            if not as_json:
                screen.note(f"{event.octets} bytes of the log had to make room before they were read")
        else:
            output.take(event)

    found = resolve(device)
    with connect(found) as session:
        stands = session.logs(app, run=run, lines=lines, follow=follow, on_event=take)
    output.close()
    document: dict[str, Any] = {"device": str(found), **stands, "lost_bytes": missed, **output.document()}
    del document["tensors"]

    def render(shown: Screen) -> None:
        if follow:
            say_kept_end(shown, stands)

    return Answer(document, render)
