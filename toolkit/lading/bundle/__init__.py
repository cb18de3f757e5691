"""Bundles: ``.lading`` files, OCI image layouts in a plain tar, written in one way only and read with distrust."""

from lading.bundle.import_ import ImportResult, import_bundle
from lading.bundle.inspect import Inspection, inspect_bundle
from lading.bundle.pack import PackResult, pack
from lading.bundle.reader import Bundle, open_bundle

__all__ = [
    "Bundle",
    "ImportResult",
    "Inspection",
    "PackResult",
    "import_bundle",
    "inspect_bundle",
    "open_bundle",
    "pack",
]
