"""Emulated devices of tests: a new one for each run, one for each worker."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lading.devices import Device


def for_this_worker(device: Device, worker: str, scratch: Callable[[], Path]) -> Device:
    """The device as one worker uses it: what workers would share of an emulated one, each has of its own.

    Args:
        device: as it was asked for.
        worker: the worker's name under pytest-xdist; empty without.
        scratch: makes a folder that ends with the run.
    """
    from lading.devices import EmulatedDevice
    from lading.devices.address import Emulated
    from lading.devices.resolve import DEFAULT_NAME

    if not isinstance(device, EmulatedDevice):
        return device
    assert isinstance(device.address, Emulated)
    if device.address.state is None and device.name == DEFAULT_NAME:
        return replace(device, state=scratch())
    if worker:
        return replace(device, state=device.state.with_name(f"{device.state.name}-{worker}"))
    return device
