"""What is written where a system looks when it starts: systemd units and crontab lines, as text."""

from __future__ import annotations

import re
import shlex
from typing import Dict, Sequence

MARK = "# lading:"
_UNIT_PLAIN = re.compile(r"[A-Za-z0-9_/.,:=@+-]+")


def unit(description: str, command: Sequence[str], home: str) -> str:
    """A systemd user unit that starts one of the agent's own processes.

    The process restarts its guest by itself, in the same way with systemd and without it. systemd only starts it, and
    starts it again should it ever be killed.
    """
    return f"""# Written by lading for {_comment(home)}; `lading service disable` takes it away.
[Unit]
Description={_comment(description)}
After=network.target

[Service]
Type=exec
ExecStart={" ".join(map(_unit_word, command))}
WorkingDirectory=/
Restart=on-failure
RestartSec=5
TimeoutStopSec=15

[Install]
WantedBy=default.target
"""


def crontab_line(command: Sequence[str], mark: str) -> str:
    """A crontab line that starts one of the agent's own processes when the device starts.

    The mark is a comment to the shell that cron hands the line to.
    """
    words = " ".join(shlex.quote(word) for word in command)
    # Cron takes a bare % for a line end, also inside of quotes.
    return f"@reboot {words} >/dev/null 2>&1 {MARK}{mark}".replace("%", "\\%")


def with_line(crontab: str, mark: str, line: str) -> str:
    """A crontab with our line in it once, and every other line as it was."""
    rest = without_line(crontab, mark)
    if rest and not rest.endswith("\n"):
        rest += "\n"
    return f"{rest}{line}\n"


def without_line(crontab: str, mark: str) -> str:
    """A crontab without our line, and every other line as it was."""
    ending = f" {MARK}{mark}".replace("%", "\\%")
    return "".join(line for line in crontab.splitlines(keepends=True) if not line.rstrip("\n").endswith(ending))


def has_line(crontab: str, mark: str) -> bool:
    """Whether our line is there."""
    return without_line(crontab, mark) != crontab


def _unit_word(word: str) -> str:
    """A word of ExecStart: what systemd would expand or split is escaped."""
    word = word.replace("%", "%%").replace("$", "$$")
    if _UNIT_PLAIN.fullmatch(word):
        return word
    return '"' + _escaped(word, {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t"}) + '"'


def _escaped(text: str, table: Dict[str, str]) -> str:
    return "".join(table.get(c, c) for c in text)


def _comment(text: str) -> str:
    """Text that stays in one line and expands to nothing."""
    return " ".join(text.split()).replace("%", "%%")
