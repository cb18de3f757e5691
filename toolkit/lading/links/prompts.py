"""What stands at the end of a console's text: prompts, boot loaders, pagers; and how a message may repeat such text.

Whoever is at the other end may send anything. Only the end of it is looked at, and never more than :data:`TAIL` octets,
so that no text makes recognising it slow; and nothing of it is shown that a terminal would obey.
"""

from __future__ import annotations

import re
from typing import Final

TAIL: Final = 512
"""Octets at the end that are looked at: longer than any prompt."""
SHOWN: Final = 80
"""Characters that a message repeats."""

_ESCAPES: Final = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_=>])")
_LOGIN: Final = re.compile(rb"(?:^|[\r\n ])[\w.\-]* ?(?<!Last )(?<!failed )login: ?$")
"""``Last login: `` is what somebody sees who was let in, and may be all that has come of that line so far."""
_PASSWORD: Final = re.compile(rb"(?i:password)(?: for [^\r\n]*)?: ?$")
_BOOT_LOADER: Final = re.compile(
    rb"(?i:hit any key to stop autoboot)[^\n]*$|(?:^|[\r\n])(?:=> ?|U-Boot> ?|MX\d\w*> ?|grub> ?|RedBoot> ?|STM32MP>? ?"
    rb"|Shell> ?|barebox(?:@[^\r\n:]*)?[#:][^\r\n ]* ?)$"
)
_PAGER: Final = re.compile(rb"(?:--More--[^\r\n]*|\(END\)|lines \d+-\d+[^\r\n]*|\r?\n:)\s*$")
_BUSY: Final = re.compile(rb"(?:^|[\r\n])(?:>>> ?|\(gdb\) ?|sqlite> ?|mysql> ?|ftp> ?)$")
_SHELL: Final = re.compile(rb"[$#%] ?$")
_SHELL_OR_OTHER: Final = re.compile(rb"[$#%>] ?$")
_REFUSED: Final = re.compile(
    rb"(?i:login incorrect|authentication failure|maximum number of tries|login timed out"
    rb"|account (?:is )?locked|account has expired)"
)


def plain(heard: bytes) -> bytes:
    """Console text without colours and cursor movements."""
    return _ESCAPES.sub(b"", heard)


def tail(heard: bytes) -> bytes:
    """The end of :func:`plain` text: as much as prompts are looked for in."""
    return plain(heard[-4 * TAIL :])[-TAIL:]


def is_login(heard: bytes) -> bool:
    """Whether it ends with the question who logs in."""
    return _LOGIN.search(tail(heard)) is not None


def is_password(heard: bytes) -> bool:
    """Whether it ends with the question for a password."""
    return _PASSWORD.search(tail(heard)) is not None


def is_refusal(heard: bytes) -> bool:
    """Whether a login was refused somewhere in it."""
    return _REFUSED.search(plain(heard)) is not None


def is_boot_loader(heard: bytes) -> bool:
    """Whether it ends with a boot loader's prompt, or with its countdown."""
    return _BOOT_LOADER.search(tail(heard)) is not None


def is_pager(heard: bytes) -> bool:
    """Whether it ends with a pager's prompt."""
    return _PAGER.search(tail(heard)) is not None


def is_busy(heard: bytes) -> bool:
    """Whether it ends with the prompt of a program that is no shell."""
    return _BUSY.search(tail(heard)) is not None


def looks_like_shell(heard: bytes, *, or_other: bool = False) -> bool:
    """Whether it ends as the prompts of shells do; ``or_other``: or with ``>``, as few of them and many others do."""
    return (_SHELL_OR_OTHER if or_other else _SHELL).search(tail(heard)) is not None


def garbled(heard: bytes) -> bool:
    """Whether it is mostly no text: the other end has another baud rate."""
    odd = sum(byte >= 128 or (byte < 32 and byte not in b"\r\n\t\b\x07\x1b") for byte in heard)
    return odd * 4 > len(heard)


def last_line(heard: bytes, hidden: bytes = b"") -> str:
    """The last line that says something, as a message may repeat it: printable, short.

    Args:
        heard: console text.
        hidden: what must not be repeated, such as a password that a device echoes.
    """
    if hidden:
        heard = heard.replace(hidden, b"***")
    for line in reversed(tail(heard).decode("utf-8", "replace").splitlines()):
        shown = "".join(c if c.isprintable() and c != "\ufffd" else "?" for c in line.strip())
        if shown:
            return shown[-SHOWN:]
    return ""
