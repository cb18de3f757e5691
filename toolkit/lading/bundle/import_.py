"""Makes a canonical bundle again of what a registry or another tool made of one.

Everything in a bundle follows from its bill and the contents that the bill lists, so the bill and those contents are
taken and everything else is made anew. The result is, byte for byte, what `pack` wrote.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lading.bundle import media
from lading.bundle.foreign import Layout
from lading.bundle.manifest import DAMAGED, Descriptor, find_bill, plan, read_descriptors, read_manifest
from lading.bundle.pack import bundle_name
from lading.bundle.writer import write_bundle
from lading.errors import BundleError
from lading_agent.bill import Bill, BillError

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class ImportResult:
    """A bundle that was written."""

    path: Path
    bill: Bill
    digest: str
    size: int


def import_bundle(
    source: Path, output: Path | None = None, *, progress: Callable[[str, int, int], None] | None = None
) -> ImportResult:
    """Write the canonical bundle of an OCI archive (a tar, members in any order) or an OCI layout folder.

    Args:
        source: the archive or folder.
        output: the file to make or replace; ``NAME-VERSION.lading`` in the working directory when None.
        progress: called with ``write``, bytes done and bytes in all.

    Raises:
        BundleError: it holds no bundle, or a damaged one.
        UsageError: the output cannot be written.
    """
    layout = Layout(source)
    descriptor = _find(layout)
    bill_bytes = layout.read_blob(descriptor)
    try:
        bill = Bill.parse(bill_bytes)
    except BillError as error:
        raise BundleError(f"{source}: the bill is refused: {error}", remedy=error.remedy) from None
    planned = plan(bill, bill_bytes)
    contents = {digest: layout.content(digest, size) for digest, size in bill.all_blobs().items()}
    path = output or Path(bundle_name(bill.app.name, bill.app.version))
    total = sum(blob.size for blob in planned.blobs)
    done = 0

    def step(count: int) -> None:
        nonlocal done
        done += count
        if progress:
            progress("write", done, total)

    size = write_bundle(path, planned, contents, step)
    return ImportResult(path, bill, planned.digest, size)


def _find(layout: Layout) -> Descriptor:
    """The bill of the one bundle in a layout."""
    entries = read_descriptors(layout.read(media.INDEX_MEMBER, media.MAX_JSON_BYTES), "manifests")
    bills: dict[str, Descriptor] = {}
    refusal = BundleError(f"{layout.path}: index.json names no manifest", remedy=DAMAGED)
    for entry in {entry.digest: entry for entry in entries}.values():
        try:
            bill = find_bill(read_manifest(layout.read_blob(entry), canonical=False))
        except BundleError as error:
            refusal = error
        else:
            bills[bill.digest] = bill
    if len(bills) > 1:
        raise BundleError(
            f"{layout.path} holds {len(bills)} bundles",
            remedy="copy the one you want alone: skopeo copy oci:FOLDER:TAG oci-archive:FILE",
        )
    if not bills:
        raise refusal
    return next(iter(bills.values()))
