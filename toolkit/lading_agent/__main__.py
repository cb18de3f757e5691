"""The agent's command line: ``serve``, ``runner``, ``stage``, ``version``; ``install``, ``rollback``, ``purge``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final, List, Optional

from lading_agent import PROTOCOL, __version__

LEFT_BEHIND: Final = {
    "detached": "keep one detached run (started by the agent)",
    "service": "keep an app's service running",
    "watch": "go back from releases that nobody confirms",
}


def main(argv: Optional[List[str]] = None) -> int:
    """Run one of the agent's commands.

    Returns:
        An exit status.
    """
    words = sys.argv[1:] if argv is None else argv
    if words[:1] == ["runner"]:
        from lading_agent.nn import process

        return process.main(words[1:])
    if words[:1] == ["installed"]:
        from lading_agent.runs import installed

        return installed.main(words[1:])
    if words[:1] and words[0] in LEFT_BEHIND:
        from lading_agent.keep import main as keep
        from lading_agent.serve.stdio import open_served

        return keep.main(words, open_served)
    if words[:1] == ["stage"]:
        from lading_agent.line import stage

        return stage.main()
    from lading_agent.bootstrap import commands as bootstrap

    parser = argparse.ArgumentParser(prog="lading-agent", description="lading's device side")
    commands = parser.add_subparsers(dest="command", required=True)
    serving = commands.add_parser("serve", help="speak the agent protocol on standard input and output")
    serving.add_argument("--home", type=Path, required=True, help="the agent's folder")
    serving.add_argument("--device", type=Path, help="the device file (default: device.json in the home)")
    serving.add_argument("--ready", action="store_true", help="serve only if the engines are whole")
    for name, text in LEFT_BEHIND.items():
        commands.add_parser(name, help=text)
    if words[:1] != ["serve"]:  # the start that somebody waits for: what is not asked for is not loaded
        bootstrap.add_commands(commands)
    commands.add_parser("runner", help="host one guest (started by the agent)")
    commands.add_parser("installed", help="host one guest on the device's own runtime (started by the agent)")
    commands.add_parser("stage", help="lend the terminal that this runs on to the line layer (started over a console)")
    commands.add_parser("version", help="version of the agent and of its protocol")
    options = parser.parse_args(words)
    if options.command == "version":
        sys.stdout.write(f"{__version__} protocol {PROTOCOL} python {sys.version.split()[0]}\n")
        return 0
    if options.command in bootstrap.COMMANDS:
        return bootstrap.run(options)
    if options.ready and not bootstrap.is_whole(options.home):
        return 1
    from lading_agent.serve.stdio import serve_stdio

    return serve_stdio(options.home, options.device)


if __name__ == "__main__":
    sys.exit(main())
