"""``lading board``: boards without hardware, under QEMU or as programs of this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lading.cli.answer import Answer, verb
from lading.cli.options import Json
from lading.cli.screen import Screen, duration
from lading.cli.steps import Steps
from lading.units import format_memory

if TYPE_CHECKING:
    from lading.boards.control import Board
    from lading.boards.state import Running

BUILD_EPILOG = "Example:  lading board build debian-arm64"
UP_EPILOG = "Example:  lading board up && lading deploy examples/digits board://debian-arm64"
DOWN_EPILOG = "Example:  lading board down --suspend"
LIST_EPILOG = "Example:  lading board list"
CONSOLE_EPILOG = "Example:  lading board console        (Ctrl-] leaves it)"
SSH_EPILOG = "Example:  lading board ssh debian-arm64 -- uname -a"
RESET_EPILOG = "Example:  lading board reset"
CUT_EPILOG = "Example:  lading board power-cut"

DEFAULT = "debian-arm64"

NameArgument = Annotated[
    str, typer.Argument(metavar="[NAME]", help="The board, as lading board list names it.", show_default=True)
]


@verb("board-build")
def build(
    name: NameArgument = DEFAULT,
    again: Annotated[
        bool, typer.Option("--again", help="Build it also when it is there, from today's packages.")
    ] = False,
    as_json: Json = False,
) -> Answer:
    """Build what a board starts from: kernel, first stage and a root file system, out of Debian's packages.

    It is kept in your cache, by the recipe that it was made from: boards with the same recipe share it. Building takes
    root, or a user namespace, because the files in it belong to root.
    """
    from lading.boards import control

    screen = Screen(as_json=as_json)
    board = control.find(name, Path.cwd())
    with Steps(screen, board.name) as steps:
        digest, built = control.build(board, again=again, said=steps.say)

    def render(shown: Screen) -> None:
        shown.say(f"{board.name}: {'built' if built else 'it was built before'} ({digest[:12]})")

    return Answer({"board": board.name, "image": digest, "built": built}, render)


@verb("board-up")
def up(
    name: NameArgument = DEFAULT,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what it holds: a new disk, new keys.")] = False,
    as_json: Json = False,
) -> Answer:
    """Have a board run: its image is built where it is missing, then it boots, or goes on where it was suspended.

    It runs until `lading board down`, and is reached as board://NAME by every verb that takes a device. It listens on
    127.0.0.1 alone, and gets nowhere itself.
    """
    from lading.boards import control

    screen = Screen(as_json=as_json)
    board = control.find(name, Path.cwd())
    with Steps(screen, board.name) as steps:
        raised = control.up(board, fresh=fresh, said=steps.say)
    document = {
        **_described(board, raised.running),
        "already": raised.already,
        "built": raised.built,
        "resumed": raised.running.resumed,
        "build_s": round(raised.build_s, 3),
        "start_s": round(raised.start_s, 3),
    }

    def render(shown: Screen) -> None:
        _say_addresses(shown, document)
        if raised.already:
            shown.note(f"{board.name} was up already")
            return
        how = "resumed" if raised.running.resumed else "started"
        built = f"built in {duration(raised.build_s)}, " if raised.built else ""
        shown.note(f"{built}{how} in {duration(raised.start_s)}; it runs until: lading board down {board.name}")

    return Answer(document, render)


@verb("board-down")
def down(
    name: NameArgument = DEFAULT,
    suspend: Annotated[
        bool, typer.Option("--suspend", help="Save the machine whole: the next up goes on within a second or two.")
    ] = False,
    as_json: Json = False,
) -> Answer:
    """Switch a board off, as its poweroff does. What it holds stays for the next time."""
    from lading.boards import control

    screen = Screen(as_json=as_json)
    board = control.find(name, Path.cwd())
    with Steps(screen, board.name) as steps:
        steps.say("suspending" if suspend else "switching off")
        was_up = control.down(board, suspend=suspend)

    def render(shown: Screen) -> None:
        done = "suspended" if suspend else "off"
        shown.say(f"{board.name} is {done}" if was_up else f"{board.name} was off")

    return Answer({"board": board.name, "was_up": was_up, "suspended": suspend and was_up}, render)


@verb("board-list")
def list_(as_json: Json = False) -> Answer:
    """List the boards: what they are, whether this machine can run them, which are up, and where."""
    from lading.boards import control, survey

    rows: list[dict[str, Any]] = []
    for target in control.boards(Path.cwd()):
        board = control.find(f"board:{target.id}", Path.cwd())
        found = board.state.running()
        running = found if found is not None and found.ready else None
        missing = survey.missing(board)
        rows.append(
            {
                **_described(board, running),
                "title": target.title,
                "memory_bytes": target.memory_bytes,
                "image": survey.image(board),
                "disk_bytes": survey.disk_bytes(board),
                "missing": None if missing is None else {"message": missing.message, "remedy": missing.remedy},
            }
        )

    def render(shown: Screen) -> None:
        shown.table(
            ["board", "state", "core", "memory", "reached at"],
            [
                [
                    row["board"],
                    row["state"],
                    row["core"] or "–",
                    format_memory(row["memory_bytes"]) if row["memory_bytes"] else "–",
                    "  ".join(text for text in row["addresses"].values() if text) or "–",
                ]
                for row in rows
            ],
        )
        for row in rows:
            if row["missing"]:
                shown.note(f"{row['missing']['message']}: {row['missing']['remedy']}", style="yellow")

    return Answer({"boards": rows}, render)


@verb("board-console")
def console(name: NameArgument = DEFAULT, as_json: Json = False) -> Answer:
    """Sit at a board's console; Ctrl-] leaves it. The user's password is shown by `lading board up`."""
    from lading.boards import control, reach
    from lading.boards.terminal import attach
    from lading.errors import Unsupported, UsageError

    board = control.find(name, Path.cwd())
    found = reach.addresses(board, control.running(board))
    if found.console is None:
        raise Unsupported(
            f"{board.name}: it has no console to sit at", remedy="its port speaks SMP: use lading's own verbs"
        )
    if as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "a console needs a terminal",
            remedy=f"programs use {found.console}, or: lading run board://{board.name}#uart0",
        )
    Screen().note(f"{board.name}: Ctrl-] leaves the console")
    attach(found.console.host, found.console.port)
    return Answer({"board": board.name, "address": str(found.console)})


@verb("board-ssh", runs_guest=True)
def ssh(
    name: NameArgument = DEFAULT,
    command: Annotated[list[str] | None, typer.Argument(metavar="[COMMAND]...", help="What runs there.")] = None,
    user: Annotated[str | None, typer.Option("--user", "-l", metavar="USER", help="Who logs in: user or root.")] = None,
) -> Answer:
    """Log in to a board with the system's own ssh, with the board's key and nothing of your own configuration."""
    from lading.boards import control, programs, reach
    from lading.boards.identity import identity_of
    from lading.errors import Unsupported

    board = control.find(name, Path.cwd())
    found = reach.addresses(board, control.running(board))
    if found.ssh is None:
        raise Unsupported(f"{board.name}: it has no SSH server", remedy=f"use board://{board.name} with lading's verbs")
    program = programs.need(("ssh",), board.name)["ssh"]
    config = identity_of(board.state.identity).config
    words = [program, "-F", str(config), *(["-l", user] if user else []), board.name, *(command or [])]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(program, words)  # noqa: S606 - the terminal is ssh's from here on


@verb("board-reset")
def reset(name: NameArgument = DEFAULT, as_json: Json = False) -> Answer:
    """Push a board's reset button: it starts anew at once, whatever it was doing, and is waited for."""
    from lading.boards import control

    screen = Screen(as_json=as_json)
    board = control.find(name, Path.cwd())
    with Steps(screen, board.name) as steps:
        steps.say("starting anew")
        running = control.reset(board)
    document = _described(board, running)
    return Answer(document, lambda shown: shown.say(f"{board.name} is up again"))


@verb("board-power-cut")
def power_cut(name: NameArgument = DEFAULT, as_json: Json = False) -> Answer:
    """Cut a board's power without mercy: what it had not written to its disk is lost, as on a real one."""
    from lading.boards import control

    board = control.find(name, Path.cwd())
    was_up = control.power_cut(board)
    text = f"{board.name} has no power" if was_up else f"{board.name} was off"
    return Answer({"board": board.name, "was_up": was_up}, lambda shown: shown.say(text))


def _described(board: Board, running: Running | None) -> dict[str, Any]:
    """A board as it stands in documents."""
    from lading.boards import reach, survey
    from lading.boards.identity import identity_of
    from lading.boards.rootfs import USER

    there = running is not None
    addresses = reach.addresses(board, running) if running is not None else reach.Addresses()
    identity = identity_of(board.state.identity) if addresses.ssh is not None else None
    return {
        "board": board.name,
        "address": f"board://{board.name}",
        "state": "up" if there else survey.state(board),
        "core": board.target.table.cpu.core,
        "pid": running.pid if running is not None else None,
        "addresses": addresses.to_json(),
        "user": USER if identity is not None else None,
        "password": identity.password if identity is not None else None,
        "host_key": identity.fingerprint if identity is not None else None,
        "ssh_config": str(identity.config) if identity is not None else None,
        "folder": str(board.state.folder),
    }


def _say_addresses(screen: Screen, document: dict[str, Any]) -> None:
    rows = [["device", document["address"]]]
    rows += [[kind, text] for kind, text in document["addresses"].items() if text]
    if document["host_key"]:
        rows.append(["host key", document["host_key"]])
        rows.append(["console login", f"{document['user']}, password {document['password']}"])
        rows.append(["ssh -F", document["ssh_config"]])
    screen.table(["", ""], rows)
