"""The command ``lading``: its verbs, its help, and the exit status of wrong use."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from lading import __version__
from lading.cli.invocation import INVOCATION, guest_verb, split
from lading.cli.verbs import (
    deploy,
    emulate,
    fetch,
    gc,
    golden,
    import_,
    init,
    inspect,
    pack,
    push,
    releases,
    remove,
    rollback,
    run,
    status,
)
from lading.errors import LadingError

APP = typer.Typer(
    name="lading",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    help="Put WebAssembly guests with TFLite models to work on embedded devices.",
    epilog="Start here:  lading deploy examples/digits emulated://raspberry-pi-4b",
)

PROJECT = "Project and bundle"
DEVICE = "Device"
LOCAL = "This machine"

WRONG_USE = 2


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"lading {__version__}\n")
        raise typer.Exit


@APP.callback()
def _lading(
    _version_wanted: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Root of the verbs."""


GOLDEN = typer.Typer(no_args_is_help=True, help="Golden vectors: inputs with the outputs that a device must give.")
GOLDEN.command("record", epilog=golden.EPILOG)(golden.record)

APP.command("init", rich_help_panel=PROJECT, epilog=init.EPILOG)(init.init)
APP.add_typer(GOLDEN, name="golden", rich_help_panel=PROJECT)
APP.command("pack", rich_help_panel=PROJECT, epilog=pack.EPILOG)(pack.pack)
APP.command("inspect", rich_help_panel=PROJECT, epilog=inspect.EPILOG)(inspect.inspect)
APP.command("import", rich_help_panel=PROJECT, epilog=import_.EPILOG)(import_.import_)
APP.command("deploy", rich_help_panel=DEVICE, epilog=deploy.EPILOG)(deploy.deploy)
APP.command("push", rich_help_panel=DEVICE, epilog=push.EPILOG)(push.push)
APP.command("run", rich_help_panel=DEVICE, epilog=run.EPILOG)(run.run)
APP.command("fetch", rich_help_panel=DEVICE, epilog=fetch.EPILOG)(fetch.fetch)
APP.command("status", rich_help_panel=DEVICE, epilog=status.EPILOG)(status.status)
APP.command("releases", rich_help_panel=DEVICE, epilog=releases.EPILOG)(releases.releases)
APP.command("rollback", rich_help_panel=DEVICE, epilog=rollback.EPILOG)(rollback.rollback)
APP.command("remove", rich_help_panel=DEVICE, epilog=remove.EPILOG)(remove.remove)
APP.command("gc", rich_help_panel=DEVICE, epilog=gc.EPILOG)(gc.gc)
APP.command("emulate", rich_help_panel=LOCAL, epilog=emulate.EPILOG)(emulate.emulate)


def main() -> None:
    """Run the command line and exit."""
    words, INVOCATION.guest_args = split(sys.argv[1:])
    try:
        APP(args=words)
    except SystemExit as end:
        if end.code == WRONG_USE and guest_verb(words) and not INVOCATION.answered:
            raise SystemExit(LadingError.run_status) from None
        raise
