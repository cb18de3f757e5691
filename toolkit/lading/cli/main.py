"""The command ``lading``: its verbs, its help, and the exit status of wrong use."""

from __future__ import annotations

import errno
import os
import sys
from typing import Annotated

import typer

from lading import __version__
from lading.cli import streams
from lading.cli.answer import CannotWrite
from lading.cli.help import Verb
from lading.cli.invocation import INVOCATION, completed, guest_verb, split
from lading.cli.screen import Screen
from lading.cli.verbs import (
    adapt,
    board,
    check,
    confirm,
    conformance,
    deploy,
    device,
    device_group,
    emulate,
    engines,
    fetch,
    flash,
    gc,
    golden,
    import_,
    init,
    inspect,
    logs,
    matrix,
    pack,
    probe,
    profiles,
    push,
    quantize,
    releases,
    remove,
    retype,
    rollback,
    run,
    service,
    status,
    stop,
    targets,
    trace,
)
from lading.cli.wrong_use import WrongUse, say_wrong_use
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
KNOWLEDGE = "Boards and firmwares"
LOCAL = "This machine"


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"lading {__version__}\n")
        sys.stdout.flush()
        raise typer.Exit


@APP.callback()
def _lading(
    _version_wanted: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Root of the verbs."""


GOLDEN = typer.Typer(no_args_is_help=True, help="Golden vectors: inputs with the outputs that a device must give.")
GOLDEN.command("record", cls=Verb, epilog=golden.EPILOG)(golden.record)

SERVICE = typer.Typer(no_args_is_help=True, help="An app's current release starts with the device, and stays up.")
SERVICE.command("enable", cls=Verb, epilog=service.ENABLE_EPILOG)(service.enable)
SERVICE.command("disable", cls=Verb, epilog=service.DISABLE_EPILOG)(service.disable)
SERVICE.command("status", cls=Verb, epilog=service.STATUS_EPILOG)(service.status)

TARGETS = typer.Typer(help="Kinds of boards: processor, memory, storage, how each is reached. Alone: the list of them.")
TARGETS.command("list", cls=Verb, epilog=targets.LIST_EPILOG)(targets.list_)
TARGETS.command("show", cls=Verb, epilog=targets.SHOW_EPILOG)(targets.show)
ENGINES = typer.Typer(help="The libraries that the native runner loads, here and on devices. Alone: the list of them.")
ENGINES.command("list", cls=Verb, epilog=engines.LIST_EPILOG)(engines.list_)
ENGINES.command("fetch", cls=Verb, epilog=engines.FETCH_EPILOG)(engines.fetch)
ENGINES.command("verify", cls=Verb, epilog=engines.VERIFY_EPILOG)(engines.verify)
DEVICES = typer.Typer(help="The names of devices, the host keys they must show, what is kept of each. Alone: the list.")
DEVICES.command("add", cls=Verb, epilog=device.ADD_EPILOG)(device.add)
DEVICES.command("list", cls=Verb, epilog=device.LIST_EPILOG)(device.list_)
DEVICES.command("show", cls=Verb, epilog=device.SHOW_EPILOG)(device.show)
DEVICES.command("remove", cls=Verb, epilog=device.REMOVE_EPILOG)(device.remove)
DEVICES.command("rekey", cls=Verb, epilog=device.REKEY_EPILOG)(device.rekey)
DEVICES.command("rollback-agent", cls=Verb, epilog=device.ROLLBACK_EPILOG)(device.rollback_agent)
DEVICES.command("group", cls=Verb, epilog=device_group.EPILOG)(device_group.group)
BOARDS = typer.Typer(help="Boards without hardware: an ARM Linux under QEMU, and others. Alone: the list of them.")
BOARDS.command("build", cls=Verb, epilog=board.BUILD_EPILOG)(board.build)
BOARDS.command("up", cls=Verb, epilog=board.UP_EPILOG)(board.up)
BOARDS.command("down", cls=Verb, epilog=board.DOWN_EPILOG)(board.down)
BOARDS.command("list", cls=Verb, epilog=board.LIST_EPILOG)(board.list_)
BOARDS.command("console", cls=Verb, epilog=board.CONSOLE_EPILOG)(board.console)
BOARDS.command("ssh", cls=Verb, epilog=board.SSH_EPILOG)(board.ssh)
BOARDS.command("reset", cls=Verb, epilog=board.RESET_EPILOG)(board.reset)
BOARDS.command("power-cut", cls=Verb, epilog=board.CUT_EPILOG)(board.power_cut)
PROFILES = typer.Typer(help="The software on boards that hosts guests, and how it behaves. Alone: the list of them.")
PROFILES.command("list", cls=Verb, epilog=profiles.LIST_EPILOG)(profiles.list_)
PROFILES.command("show", cls=Verb, epilog=profiles.SHOW_EPILOG)(profiles.show)
PROFILES.command("diff", cls=Verb, epilog=profiles.DIFF_EPILOG)(profiles.diff)
PROFILES.command("new", cls=Verb, epilog=profiles.NEW_EPILOG)(profiles.new)
PROFILES.command("validate", cls=Verb, epilog=profiles.VALIDATE_EPILOG)(profiles.validate)

APP.command("init", cls=Verb, rich_help_panel=PROJECT, epilog=init.EPILOG)(init.init)
APP.add_typer(GOLDEN, name="golden", rich_help_panel=PROJECT)
APP.command("pack", cls=Verb, rich_help_panel=PROJECT, epilog=pack.EPILOG)(pack.pack)
APP.command("inspect", cls=Verb, rich_help_panel=PROJECT, epilog=inspect.EPILOG)(inspect.inspect)
APP.command("import", cls=Verb, rich_help_panel=PROJECT, epilog=import_.EPILOG)(import_.import_)
APP.command("retype", cls=Verb, rich_help_panel=PROJECT, epilog=retype.EPILOG)(retype.retype)
APP.command("adapt", cls=Verb, rich_help_panel=PROJECT, epilog=adapt.EPILOG)(adapt.adapt)
APP.command("flash-image", cls=Verb, rich_help_panel=PROJECT, epilog=flash.EPILOG)(flash.flash_image)
APP.command("quantize", cls=Verb, rich_help_panel=PROJECT, epilog=quantize.EPILOG)(quantize.quantize)
APP.command("check", cls=Verb, rich_help_panel=PROJECT, epilog=check.EPILOG)(check.check)
APP.command("matrix", cls=Verb, rich_help_panel=PROJECT, epilog=matrix.EPILOG)(matrix.matrix)
APP.command("trace", cls=Verb, rich_help_panel=PROJECT, epilog=trace.EPILOG)(trace.trace)
APP.add_typer(DEVICES, name="device", rich_help_panel=DEVICE)
APP.command("deploy", cls=Verb, rich_help_panel=DEVICE, epilog=deploy.EPILOG)(deploy.deploy)
APP.command("push", cls=Verb, rich_help_panel=DEVICE, epilog=push.EPILOG)(push.push)
APP.command("run", cls=Verb, rich_help_panel=DEVICE, epilog=run.EPILOG)(run.run)
APP.command("logs", cls=Verb, rich_help_panel=DEVICE, epilog=logs.EPILOG)(logs.logs)
APP.command("stop", cls=Verb, rich_help_panel=DEVICE, epilog=stop.EPILOG)(stop.stop)
APP.add_typer(SERVICE, name="service", rich_help_panel=DEVICE)
APP.command("confirm", cls=Verb, rich_help_panel=DEVICE, epilog=confirm.EPILOG)(confirm.confirm)
APP.command("fetch", cls=Verb, rich_help_panel=DEVICE, epilog=fetch.EPILOG)(fetch.fetch)
APP.command("status", cls=Verb, rich_help_panel=DEVICE, epilog=status.EPILOG)(status.status)
APP.command("releases", cls=Verb, rich_help_panel=DEVICE, epilog=releases.EPILOG)(releases.releases)
APP.command("rollback", cls=Verb, rich_help_panel=DEVICE, epilog=rollback.EPILOG)(rollback.rollback)
APP.command("remove", cls=Verb, rich_help_panel=DEVICE, epilog=remove.EPILOG)(remove.remove)
APP.command("gc", cls=Verb, rich_help_panel=DEVICE, epilog=gc.EPILOG)(gc.gc)
APP.command("probe", cls=Verb, rich_help_panel=DEVICE, epilog=probe.EPILOG)(probe.probe)
APP.command("conformance", cls=Verb, rich_help_panel=KNOWLEDGE, epilog=conformance.EPILOG)(conformance.conformance)
APP.add_typer(TARGETS, name="targets", rich_help_panel=KNOWLEDGE)
APP.add_typer(PROFILES, name="profiles", rich_help_panel=KNOWLEDGE)
APP.add_typer(BOARDS, name="board", rich_help_panel=LOCAL)
APP.command("emulate", cls=Verb, rich_help_panel=LOCAL, epilog=emulate.EPILOG)(emulate.emulate)
APP.add_typer(ENGINES, name="engines", rich_help_panel=LOCAL)


def _called(words: list[str]) -> int:
    try:
        return int(typer.main.get_command(APP).main(args=words, prog_name="lading", standalone_mode=False) or 0)
    except WrongUse as wrong:
        return say_wrong_use(wrong, words)
    except SystemExit as ended:
        if INVOCATION.answered or ended.code != 1:
            raise
        # No verb was reached: the printer of help texts ends so when nobody reads them.
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)) from None


def main() -> None:
    """Run the command line and exit."""
    streams.prepare()
    words, INVOCATION.guest_args = split(completed(sys.argv[1:]))
    try:
        status = _called(words)
    except OSError as error:  # what a verb meets it says itself: this is a help text that nobody takes
        if not isinstance(error, BrokenPipeError):
            Screen().error(CannotWrite(1, error))
        for stream in (sys.stdout, sys.stderr):
            streams.abandon(stream)
        failed = LadingError.run_status if guest_verb(words) else LadingError.exit_status
        status = 0 if isinstance(error, BrokenPipeError) else failed
    raise SystemExit(status)
