"""What a bundle holds, for people and programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from lading.bundle.reader import open_bundle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lading_agent.bill import Bill


@dataclass(frozen=True)
class Inspection:
    """A bundle that was looked through. Everything about the app is in ``bill``."""

    path: Path
    bill: Bill
    digest: str
    """The top manifest's digest: the bundle's name in a registry."""
    size: int
    """Bytes of the file."""
    blob_count: int
    verified: bool
    """Whether every content was compared with its digest."""

    @property
    def file_count(self) -> int:
        """Files in all shipped directories."""
        return sum(len(directory.files) for directory in self.bill.dirs)

    def to_json(self) -> dict[str, Any]:
        """The inspection with stable keys: the file's own, then those of the bill."""
        bill = asdict(self.bill)
        return {
            "path": str(self.path),
            "digest": self.digest,
            "size": self.size,
            "blobs": self.blob_count,
            "verified": self.verified,
            "release": self.bill.release,
            **bill,
        }


def inspect_bundle(
    path: Path, *, verify: bool = True, progress: Callable[[int, int], None] | None = None
) -> Inspection:
    """Look through a bundle.

    Args:
        path: the ``.lading`` file.
        verify: compare every content with its digest.
        progress: called with bytes done and bytes in all while that goes on.

    Raises:
        BundleError: not a bundle, damaged or hostile.
    """
    with open_bundle(path) as bundle:
        if verify:
            bundle.verify(progress)
        return Inspection(path, bundle.bill, bundle.digest, bundle.size, len(bundle.blobs), verify)
