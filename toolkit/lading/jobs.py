"""Work with somebody else's engine, in a process of its own: a crash or a hang of it is an answer, not our end.

The program is a module of ours that reads its job, one JSON document, from standard input, and leaves another one in
the file that the job calls ``result``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_SAID: Final = 4096
"""Octets of what it said that are kept, the last ones."""


@dataclass(frozen=True)
class Done:
    """How a job ended by itself."""

    result: Mapping[str, Any] | None
    """What it left; None where it crashed or left nothing."""
    ending: str
    """The signal by its name, or the exit status."""
    said: str
    """The end of its standard error."""


def run_job(module: str, job: Mapping[str, Any], timeout_s: float) -> Done:
    """Have a module do a job; nothing that it started is left.

    Args:
        module: what ``python -m`` runs.
        job: with the path of the result file as ``result``.
        timeout_s: seconds after which it is killed.

    Raises:
        TimeoutError: it was still at it then.
    """
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        _, stderr = child.communicate(json.dumps(job).encode(), timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise TimeoutError from None
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
    status = child.returncode
    ending = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
    file = Path(job["result"])
    result = json.loads(file.read_text()) if status == 0 and file.is_file() else None
    return Done(result, ending, stderr[-MOST_SAID:].decode("utf-8", "replace"))
