"""The command lines that write an image, from the target's data."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from lading.flash.image import FlashImage
    from lading.targets.schema import Flash

DEFAULT_PORT: Final = "/dev/ttyUSB0"
_PLACE: Final = re.compile(r"\{([a-z-]+)\}")


@dataclass(frozen=True)
class Command:
    """How one tool writes the image."""

    tool: str
    words: tuple[str, ...]
    note: str

    @property
    def line(self) -> str:
        """The command as a shell takes it."""
        return shlex.join(self.words)


def commands(flash: Flash, image: FlashImage, file: Path, port: str | None = None) -> tuple[Command, ...]:
    """What to type to bring an image onto a board.

    Args:
        flash: how the target's flash is written.
        image: the image.
        file: where it lies.
        port: the serial port, for tools that use one.
    """
    known = {
        "file": str(file),
        "offset": f"{image.offset:#x}",
        "offset-decimal": str(image.offset),
        "address": f"{image.address:#x}",
        "size": f"{len(image.data):#x}",
        "port": port or DEFAULT_PORT,
    }

    def filled(word: str) -> str:
        return _PLACE.sub(lambda found: known.get(found[1], found[0]), word)

    return tuple(Command(w.tool, tuple(filled(word) for word in w.command), w.note or "") for w in flash.writer)
