"""Commands for whatever login shell a device has: one line, in single quotes, that only ``sh`` looks into.

bash, dash, BusyBox, zsh, fish and csh agree on a word in single quotes as long as it holds no single quote, no ``!``
(csh), no backslash (fish) and no line end (csh). So scripts here are written without them.
"""

from __future__ import annotations

import re
from typing import Final

from lading.errors import AddressError

DEFAULT_HOME: Final = ".local/share/lading"
IS_OURS: Final = (
    'o=; for f in "$h"/agent/*-????????????.pyz "$h"/agent/*.ready "$h"/agent/incoming-*; do '
    'if [ -e "$f" ]; then o=1; fi; done; '
    'if [ -f "$h/device.json" ] && [ -d "$h/blobs/sha256" ] && [ -d "$h/staging" ]; then o=1; fi; '
)
"""Sets ``o`` where the folder is an agent's home, whole or not: other people have folders called ``agent``, too."""
_NEVER: Final = re.compile(r"['!\\\n\r\0]")
_ODD: Final = re.compile(r"[\"'!\\`$\x00-\x1f\x7f]")


def sh(script: str) -> str:
    """The command that has ``sh`` run a script of one line."""
    assert not _NEVER.search(script), script
    return f"sh -c '{script}'"


def home_text(home: str | None) -> str:
    """The agent's home as it stands inside double quotes of a script.

    Args:
        home: a path; relative ones and ``~/…`` count from the user's home; None: the usual place.

    Raises:
        AddressError: it has characters that not every shell would leave alone.
    """
    if home is None:
        return f"$HOME/{DEFAULT_HOME}"
    if _ODD.search(home) or (home.startswith("~") and not home.startswith("~/")):
        raise AddressError(
            f"the home {home!r} cannot be named in every shell",
            remedy="use a path without quotes, '$', '!', backquotes and backslashes, and not another user's '~'",
        )
    path = home.removeprefix("~/")
    while path.startswith("./"):
        path = path[2:]
    if path.startswith("/"):
        text = re.sub(r"/+", "/", path).rstrip("/")
    else:
        text = "$HOME/" + re.sub(r"/+", "/", path).strip("/")
    if text in {"", "$HOME/", "$HOME"} or ".." in text.split("/"):
        raise AddressError(
            f"the home {home!r} is no folder of its own",
            remedy="give a folder that holds nothing else: ?home=/opt/lading",
        )
    return text
