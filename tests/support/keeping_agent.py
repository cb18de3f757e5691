"""The agent as a program with the fake runner, for tests of what goes on without a connection.

``keeping_agent.py [--boot FILE] [--kill STEP] [--fail STEP] [--pace FIRST,STABLE] serve|detached|service|watch …``:
FILE stands for the boot, its content is the boot's id. STEP is where the process kills itself, or finds the disk full.
FIRST and STABLE are how patient services are. It runs on Python 3.9.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from functools import partial
from pathlib import Path

from lading_agent.keep import main as keep
from lading_agent.keep.service import Pace
from lading_agent.keep.surroundings import Surroundings
from lading_agent.serve.stdio import open_served, serve_stdio

FAKE = Path(__file__).with_name("fake_runner.py")


def main() -> int:
    words, own = sys.argv[1:], [sys.executable, str(Path(__file__).absolute())]
    around = Surroundings(command=tuple(own))
    pace = None
    faults: dict[str, str] = {}
    while words[0].startswith("--"):
        option, value, words = words[0], words[1], words[2:]
        own += [option, value]
        if option == "--boot":
            around = Surroundings(boot_id=partial(Path(value).read_text, encoding="ascii"))
        elif option in ("--kill", "--fail"):
            faults[value] = option
            own = own[:-2]  # only this very process
        elif option == "--pace":
            first, stable = map(float, value.split(","))
            pace = Pace(first_wait_s=first, longest_wait_s=8 * first, stable_s=stable)
    around = Surroundings(command=tuple(own), boot_id=around.boot_id)

    def on_step(name: str) -> None:
        fault = faults.pop(name, "")
        if fault == "--kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif fault == "--fail":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def runner(_: object) -> list[str]:
        return [sys.executable, "-ISs", str(FAKE)]

    if words[0] == "serve":
        return serve_stdio(Path(words[2]), on_step=on_step, runner=runner, surroundings=around)
    return keep.main(
        words,
        lambda home, device: open_served(home, device, on_step=on_step, runner=runner, surroundings=around),
        pace,
    )


if __name__ == "__main__":
    sys.exit(main())
