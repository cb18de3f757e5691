"""The first look at a device: what it is, and whether its home can be used; one command, and nothing of it stays."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from lading.bootstrap.shell import IS_OURS
from lading.errors import NoCommands
from lading_agent.facts.gather import facts_of
from lading_agent.facts.script import MARK as FACTS_MARK
from lading_agent.facts.script import SCRIPT, split

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lading.links.host import Host

MARK: Final = "@lading-look"
TIME_S: Final = 60.0

_SCRIPT: Final = r"""
h="%HOME%"
d=$h
while [ ! -d "$d" ]; do
  n=${d%/*}
  [ -n "$n" ] || n=/
  [ "$n" = "$d" ] && break
  d=$n
done
say() { echo; echo "%MARK% $*"; }
say home "$h"
say below "$d"
%IS_OURS%
if [ -z "$o" ]; then
  for n in apps blobs/sha256 cache engines staging runs services pending; do
    [ -d "$h/$n" ] && [ -n "$(ls -A "$h/$n" 2>/dev/null)" ] && say taken "$n"
  done
  for n in device.json runtimes.json lock; do
    [ -f "$h/$n" ] && say taken "$n"
  done
fi
say bits "$(getconf LONG_BIT 2>/dev/null)"
t="$d/.lading-look-$$"
if e=$(mkdir "$t" 2>&1); then
  trap 'rm -rf "$t"' EXIT HUP INT TERM
  if e=$({ printf '#!/bin/sh\nexit 0\n' >"$t/x" && chmod 700 "$t/x"; } 2>&1) && [ -s "$t/x" ]; then
    say write ok
    if e=$("$t/x" 2>&1); then say exec ok; else say exec no "$e"; fi
  else
    say write no "$e"
  fi
else
  say write no "$e"
fi
LADING_HOME=$d
export LADING_HOME
"""


@dataclass(frozen=True)
class Look:
    """What was seen."""

    home: str
    """The agent's home, absolute."""
    below: str
    """The innermost folder on the way there that exists."""
    write: str | None
    """Why nothing can be written there; None when it can."""
    execute: str | None
    """Why nothing that lies there can be started; None when it can."""
    bits: int | None = None
    """Of the programs, whatever the kernel has."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """See ``lading_agent.facts``."""
    taken: tuple[str, ...] = ()
    """What lies there, though it is no agent's home, under names that an agent would take for its own."""

    @property
    def architecture(self) -> str:
        """What programs are made of here, as target files call it; a 64-bit kernel may carry a 32-bit system."""
        machine = str(self.facts.get("system", {}).get("architecture", ""))
        if self.bits == 32:
            return {"aarch64": "armv7l", "x86_64": "i686"}.get(machine, machine)
        return machine


def look(host: Host, home: str) -> Look:
    """Have a look.

    Args:
        host: the device.
        home: see :func:`lading.bootstrap.shell.home_text`.

    Raises:
        NoCommands: no POSIX shell answers.
    """
    script = _SCRIPT.replace("%IS_OURS%", IS_OURS).replace("%HOME%", home).replace("%MARK%", MARK) + SCRIPT
    done = host.run("sh -s", script.encode(), TIME_S)
    output = done.stdout.decode("utf-8", "replace")
    if f"{FACTS_MARK} end" not in output:
        said = (done.stderr.decode("utf-8", "replace").strip() or output.strip()).splitlines()
        last = f" (it said: {said[-1][:300]})" if said else ""
        raise NoCommands(
            f"{host.description}: no POSIX shell answers: `sh -s` ended with status {done.status}{last}",
            remedy="log in and see whether `sh` is there, and whether the account may start commands",
        )
    return read(output)


def read(output: str) -> Look:
    """Read what the script printed."""
    said: dict[str, str] = {}
    taken: list[str] = []
    for line in output.splitlines():
        found = re.fullmatch(re.escape(MARK) + r" (\w+) ?(.*?)\s*", line)
        if found and found.group(1) == "taken":
            taken.append(found.group(2))
        elif found:
            said.setdefault(found.group(1), found.group(2))
    bits = said.get("bits", "")
    return Look(
        home=said.get("home", ""),
        below=said.get("below", ""),
        write=_why(said.get("write")),
        execute=_why(said.get("exec")),
        taken=tuple(taken),
        bits=int(bits) if bits in {"32", "64"} else None,
        facts=facts_of(split(output)),
    )


def _why(said: str | None) -> str | None:
    if said == "ok":
        return None
    # Shells and programs put their own name and the path before the cause.
    text = (said or "").removeprefix("no").strip()
    return text.rpartition(": ")[2] or "it does not say why"
