"""Run the figures that are asked for (all by default) and print one JSON document."""

from __future__ import annotations

import importlib
import json
import os
import platform
import sys

FIGURES = (
    "inference",
    "startup",
    "transfer",
    "redeploy",
    "native",
    "serial",
    "ssh",
    "board",
    "adapter",
    "pack",
    "retype",
)


def main(wanted: list[str]) -> int:
    unknown = [name for name in wanted if name not in FIGURES]
    if unknown:
        print(f"no figure called {', '.join(unknown)}; there are {', '.join(FIGURES)}", file=sys.stderr)
        return 2
    figures = {}
    for name in wanted or FIGURES:
        print(f"{name} …", file=sys.stderr)
        figures[name] = importlib.import_module(f"scripts.benchmarks.{name}").measure()
    machine = {"processor": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()}
    print(json.dumps({"schema": "lading.bench/1", "machine": machine, "figures": figures}, indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
