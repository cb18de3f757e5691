"""Regular expressions from strangers: one without an end holds up a process of its own, and not for long."""

from __future__ import annotations

import json
import subprocess
import sys

PATIENCE_S = 5
MEMORY_BYTES = 512 * 1024 * 1024

# The alarm's own action ends the process, also in the middle of a match, and when nobody waits for it any more.
_PROGRAM = """
import json, re, resource, signal, sys
signal.setitimer(signal.ITIMER_REAL, {patience})
resource.setrlimit(resource.RLIMIT_AS, ({memory}, {memory}))
pattern, text = json.loads(sys.stdin.buffer.read())
sys.exit(0 if re.search(pattern, text) else 3)
"""
_FOUND, _NOT_FOUND = 0, 3


class NoVerdict(Exception):
    """The expression took too long, or too much memory."""


def matches(pattern: str, text: str, patience_s: float = PATIENCE_S) -> bool:
    """Whether ``pattern`` is found in ``text``, as ``re.search`` has it.

    Raises:
        NoVerdict: that could not be found out in time.
    """
    program = _PROGRAM.format(patience=float(patience_s), memory=MEMORY_BYTES)
    ended = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program],
        input=json.dumps([pattern, text]).encode("ascii"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
        start_new_session=True,
    )
    if ended.returncode not in (_FOUND, _NOT_FOUND):
        raise NoVerdict(f"the expression came to no end within {patience_s:g} s")
    return ended.returncode == _FOUND
