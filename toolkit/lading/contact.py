"""Who is told when a device is set up on first contact, where whoever connects names nobody for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from lading.bootstrap.stages import Stage

    OnContact = Callable[[str, Stage], None]

_told: list[OnContact] = []


def listen(on_contact: OnContact | None) -> None:
    """Have all that connects from now on tell of a device's stages; None: nobody is told.

    Args:
        on_contact: called with the device as the user calls it, and the stage.
    """
    _told[:] = [] if on_contact is None else [on_contact]


def tell(device: str, stage: Stage) -> None:
    """A stage of setting up a device begins or goes on."""
    for on_contact in _told:
        on_contact(device, stage)
