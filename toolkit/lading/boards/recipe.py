"""What a board's image is made of, and the name that follows from it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from lading.boards import initrd, rootfs

if TYPE_CHECKING:
    from lading.boards.rootfs import System
    from lading.targets.schema import DebianEmulation

FORMAT: Final = 1
"""Counts up when the same recipe gives another image."""

BUS_MODULES: Final[dict[str, tuple[str, ...]]] = {
    "mmio": ("virtio_mmio", "virtio_blk", "virtio_net", "virtio_rng"),
    "pci": ("virtio_pci", "virtio_blk", "virtio_net", "virtio_rng"),
    "raspberry-pi": ("sdhci_iproc", "bcm2835", "mmc_block", "dwc2", "usbnet", "cdc_ether", "rndis_host"),
}
"""The kernel modules for disk and network."""
FILE_SYSTEM_MODULES: Final = ("crc32c_generic", "ext4")


@dataclass(frozen=True)
class Recipe:
    """What decides about an image. Boards with equal recipes share one."""

    architecture: str
    """As Debian calls it."""
    suite: str
    packages: tuple[str, ...]
    kernel: str
    modules: tuple[str, ...]
    system: System
    console: str
    disk_bytes: int
    device_tree: str | None

    @property
    def digest(self) -> str:
        """A name for the image: of all that decides about it, the files that are written into it included."""
        told = json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True)
        files = rootfs.as_tar(rootfs.entries(self.system, self.console))
        return hashlib.sha256(told.encode() + b"\0" + files + initrd.init_script()).hexdigest()[:32]


def recipe_of(emulation: DebianEmulation, disk_bytes: int) -> Recipe:
    """The recipe for the image of a board with a disk of that size."""
    packages = (*rootfs.PACKAGES, *rootfs.SYSTEM_PACKAGES[emulation.system], *emulation.packages)
    return Recipe(
        architecture=emulation.architecture,
        suite=emulation.suite,
        packages=tuple(dict.fromkeys(packages)),
        kernel=emulation.kernel,
        modules=tuple(dict.fromkeys((*BUS_MODULES[emulation.buses], *emulation.modules, *FILE_SYSTEM_MODULES))),
        system=emulation.system,
        console=emulation.console,
        disk_bytes=disk_bytes,
        device_tree=emulation.device_tree,
    )
