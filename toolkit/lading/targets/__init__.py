"""Targets: kinds of boards, as data (``targets/*.toml``)."""

from lading.targets.load import Target, all_targets, find, ids, load_target

__all__ = ["Target", "all_targets", "find", "ids", "load_target"]
