"""Where the command starts: Ctrl-C ends it plainly from its very first moment."""

from __future__ import annotations


def main() -> None:
    """Run the command line and exit."""
    try:
        from lading.links import secrets

        secrets.take()
        from lading.cli.main import main as run

        run()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
