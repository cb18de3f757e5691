"""The engines of the native runner, on the user's host: which there are, where they come from, what they need."""

from __future__ import annotations

from lading.engines.catalogue import Engine, choose, find, load_all
from lading.engines.fetching import fetch
from lading.engines.parts import EnginePart
from lading.engines.runner import ARCHITECTURES, runner_binary
from lading.engines.sets import default_set, minimums
from lading.engines.suit import fits

__all__ = [
    "ARCHITECTURES",
    "Engine",
    "EnginePart",
    "choose",
    "default_set",
    "fetch",
    "find",
    "fits",
    "load_all",
    "minimums",
    "runner_binary",
]
