"""``python -m scripts.soaks [NAME…] [--part N/M] [--sanitized] [--cuts N] [--moments N]``: one JSON on stdout."""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from scripts.soaks import board, check, native, serial, ssh

if TYPE_CHECKING:
    from collections.abc import Callable

SOAKS: dict[str, Callable[[int, int], dict[str, Any]]] = {
    "board": board.soak,
    "check": check.soak,
    "check-recorded": check.soak_recorded,
    "native": native.soak,
    "serial": serial.soak,
    "ssh": ssh.soak,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("name", nargs="*", help=f"of: {', '.join(SOAKS)}; all without a name")
    parser.add_argument("--part", default="0/1", metavar="N/M", help="the N-th of M parts")
    parser.add_argument("--sanitized", action="store_true", help="native: with a build that has sanitizers")
    parser.add_argument("--cuts", type=int, default=ssh.CUTS, metavar="N", help="ssh: how many cuts of a connection")
    parser.add_argument("--moments", type=int, default=board.MOMENTS, metavar="N", help="board: how many power cuts")
    options = parser.parse_args()
    unknown = [name for name in options.name if name not in SOAKS]
    if unknown:
        parser.error(f"there is no {unknown[0]}: {', '.join(SOAKS)}")
    part, parts = map(int, options.part.split("/"))
    soaks: dict[str, Callable[[int, int], dict[str, Any]]] = {
        **SOAKS,
        "board": partial(board.soak, moments=options.moments),
        "native": partial(native.soak, with_sanitizers=options.sanitized),
        "ssh": partial(ssh.soak, count=options.cuts),
    }
    figures = {name: soaks[name](part, parts) for name in options.name or SOAKS}
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    return int(any(f["failures"] for f in figures.values()))


if __name__ == "__main__":
    sys.exit(main())
