"""lading's device side: store, releases, links and runs.

Python 3.9 or newer; the standard library only, but for ``nn``.
"""

from __future__ import annotations

__version__ = "0.1.0"

PROTOCOL = 1
"""Major version of the agent protocol (see ``lading_agent.wire``)."""
