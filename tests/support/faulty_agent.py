"""An agent process that meets a fault at a step of a push. Run as a program; see :func:`main`.

``faulty_agent.py STEP FAULT FOLDER serve --home HOME [--device FILE]``. Faults: ``kill-agent``, ``kill-client`` (the
process that started it), ``kill-session`` (the nearest ``sshd`` above it), ``cut`` (tells the client through
FOLDER/at-step, goes on after FOLDER/go-on: two named pipes). It holds a lock on FOLDER/alive for life. With a device
file it runs guests as a device does, without one by the fake runner.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from pathlib import Path

from lading_agent.serve.stdio import serve_stdio


def session() -> int:
    """The process id of the SSH server's session that this process belongs to."""
    pid = os.getppid()
    while pid > 1:
        stat = Path(f"/proc/{pid}/stat").read_text()
        if stat.partition("(")[2].startswith("sshd"):
            return pid
        pid = int(stat.rpartition(")")[2].split()[1])
    raise AssertionError("no sshd above")


def main() -> int:
    step, fault, folder, _, _, home = sys.argv[1:7]
    device = Path(sys.argv[8]) if len(sys.argv) > 8 else None
    alive = os.open(Path(folder) / "alive", os.O_RDWR | os.O_CREAT)
    fcntl.flock(alive, fcntl.LOCK_EX)
    met = False

    def on_step(name: str) -> None:
        nonlocal met
        if name != step or met:
            return
        met = True
        if fault == "kill-agent":
            os.kill(os.getpid(), signal.SIGKILL)
        elif fault == "kill-client":
            os.kill(os.getppid(), signal.SIGKILL)
        elif fault == "kill-session":
            os.kill(session(), signal.SIGKILL)
        elif fault == "cut":
            (Path(folder) / "at-step").write_bytes(b"x")
            (Path(folder) / "go-on").read_bytes()

    if device is not None:
        return serve_stdio(Path(home), device, on_step=on_step)
    fake = str(Path(__file__).with_name("fake_runner.py"))
    return serve_stdio(Path(home), on_step=on_step, runner=lambda _: [sys.executable, "-ISs", fake])


if __name__ == "__main__":
    sys.exit(main())
