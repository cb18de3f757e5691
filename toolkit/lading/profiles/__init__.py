"""Firmware profiles: the software on a board that hosts guests, as data in ``firmware_profiles/*.toml``."""

from __future__ import annotations

from lading.profiles.compare import Difference, differences
from lading.profiles.load import files, find, ids, load_all, load_file, shipped
from lading.profiles.schema import FirmwareProfile

__all__ = ["Difference", "FirmwareProfile", "differences", "files", "find", "ids", "load_all", "load_file", "shipped"]
