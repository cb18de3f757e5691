"""What there is of a board, without starting anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.boards import image as images
from lading.boards import program, programs
from lading.boards.recipe import recipe_of
from lading.errors import BoardUnavailable
from lading.targets.schema import ProgramEmulation

if TYPE_CHECKING:
    from lading.boards.control import Board


def image(board: Board) -> str | None:
    """The digest of what it would start from, if that is there."""
    emulation = board.emulation
    if isinstance(emulation, ProgramEmulation):
        return program.path_of(emulation).parent.name if program.path_of(emulation).exists() else None
    digest = recipe_of(emulation, board.target.storage_bytes or 0).digest
    return digest if images.present(digest) is not None else None


def state(board: Board) -> str:
    """What it is in while it does not run: ``suspended``, ``off``, ``built``, ``not built``."""
    if board.state.suspended.exists():
        return "suspended"
    if board.state.disk.exists():
        return "off"
    return "built" if image(board) is not None else "not built"


def disk_bytes(board: Board) -> int:
    """What it holds beyond its image, in bytes of this machine's storage."""
    return board.state.disk.stat().st_blocks * 512 if board.state.disk.exists() else 0


def missing(board: Board) -> BoardUnavailable | None:
    """What this machine lacks for it; None when nothing is."""
    emulation = board.emulation
    try:
        if isinstance(emulation, ProgramEmulation):
            program.need_machine(board.name, emulation)
        else:
            found = programs.need((emulation.qemu, "qemu-img"), board.name)
            programs.need_version(found[emulation.qemu], emulation.least_qemu, board.name)
            if image(board) is None:
                programs.need(images.NEEDS, board.name, files=((programs.KEYRING, "debian-archive-keyring"),))
    except BoardUnavailable as error:
        return error
    return None
