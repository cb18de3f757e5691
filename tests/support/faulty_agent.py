"""An agent process that meets a fault at a step of a push. Run as a program; see :func:`main`.

``faulty_agent.py STEP FAULT FOLDER serve --home HOME``. Faults: ``kill-agent``, ``kill-client``, ``cut`` (tells the
client through FOLDER/at-step, goes on after FOLDER/go-on: two named pipes). It holds a lock on FOLDER/alive for life.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from pathlib import Path

from lading_agent.serve.stdio import serve_stdio


def main() -> int:
    step, fault, folder, _, _, home = sys.argv[1:]
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
        elif fault == "cut":
            (Path(folder) / "at-step").write_bytes(b"x")
            (Path(folder) / "go-on").read_bytes()

    fake = str(Path(__file__).with_name("fake_runner.py"))
    return serve_stdio(Path(home), on_step=on_step, runner=lambda _: [sys.executable, "-ISs", fake])


if __name__ == "__main__":
    sys.exit(main())
