"""The image of the partition for releases, laid out by the very push that a board would get."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from lading.errors import BundleError, DoesNotFit, FlashImageError, NoSpace
from lading.firmware.pushing import Push
from lading.firmware.shell import Shell
from lading.firmware.store import Store
from lading.flash.filesystem import ImageFiles
from lading.profiles.schema import Mcu
from lading.units import format_memory

if TYPE_CHECKING:
    from lading.client.pushing import Cargo
    from lading.profiles.schema import FirmwareProfile
    from lading.targets.load import Target
    from lading.targets.schema import Flash, Partition


@dataclass(frozen=True)
class FlashImage:
    """A partition's content."""

    data: bytes
    partition: Partition
    offset: int
    """Where it goes, from the start of the flash."""
    address: int
    """The same as the processor sees it."""
    block_bytes: int
    used_bytes: int
    """Blocks in use, the file system's own included."""
    files: dict[str, int]
    """The files in it, with their lengths."""
    release: str
    """The release that the firmware will find current."""


def flash_of(target: Target) -> Flash:
    """How a target's flash is divided.

    Raises:
        FlashImageError: it is no microcontroller, or its layout is not known.
    """
    flash = target.table.flash
    if flash is None:
        raise FlashImageError(
            f"target '{target.id}' says nothing about partitions of its flash",
            remedy="add a table [flash] to a target file of your own (docs/flash.md)"
            if target.table.kind == "microcontroller"
            else "flash images are for microcontrollers; `lading push` brings releases to other boards",
        )
    return flash


def build(bundle: Cargo, target: Target, profile: FirmwareProfile, variant: str = "default") -> FlashImage:
    """The partition for releases as it looks when this bundle was pushed to an empty board.

    Args:
        bundle: what is on it.
        target: says where the partition lies and how it is formatted.
        profile: says which files releases are made of (table ``[mcu]``).
        variant: which of the bundle's variants.

    Raises:
        FlashImageError: the target has no such partition, or LittleFS is not installed.
        DoesNotFit: the partition is too small.
        BundleError: the bundle has no such variant.
    """
    flash = flash_of(target)
    if all(v.id != variant for v in bundle.bill.variants):
        known = ", ".join(v.id for v in bundle.bill.variants)
        raise BundleError(f"the bundle has no variant '{variant}'", remedy=f"it has: {known}")
    partition = next(p for p in flash.partition if p.use == "releases")
    # Nothing runs here, so nothing is tried; the partition's own size counts, not what the profile knows of another's.
    mcu = msgspec.structs.replace(profile.mcu or Mcu(), run=[], output=[], stop=[], storage_bytes=None)
    files = ImageFiles(int(partition.size), flash.littlefs, mcu.root)
    label = f"partition '{partition.name}' of {target.id}"
    store = Store(files, mcu, label)
    nothing: Any = None
    try:
        push = Push(store, Shell(nothing, mcu, lambda slot: files.path(str(slot))), bundle, variant, None, None)
        result = push.run(keep=None, force=False, dry_run=False)
    except NoSpace as error:
        needed = _needed(bundle, variant)
        raise DoesNotFit(
            f"{label} has {format_memory(int(partition.size))}, and the release is at least {format_memory(needed)}: "
            "the file system is full",
            remedy="leave files out of the bundle, use smaller models, or give the partition more room",
            details={"partition_bytes": int(partition.size), "release_bytes": needed},
        ) from error
    return FlashImage(
        data=files.image(),
        partition=partition,
        offset=partition.offset,
        address=flash.address + partition.offset,
        block_bytes=int(flash.littlefs.block_size),
        used_bytes=files.used_bytes,
        files=files.listing(),
        release=result.release,
    )


def _needed(bundle: Cargo, variant: str) -> int:
    """Octets of all that the release is made of, without headers and blocks."""
    chosen = bundle.bill.variant(variant)
    models = {model.digest: model.size for model in chosen.models}
    files = {file.digest: file.size for folder in bundle.bill.dirs for file in folder.files}
    return len(bundle.bill_bytes) + chosen.module.size + sum({**models, **files}.values())
