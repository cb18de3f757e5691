"""lading: profile, check, pack, push and run wasi-nn guests on embedded devices."""

from __future__ import annotations

from lading_agent import __version__

__all__ = ["__version__"]
