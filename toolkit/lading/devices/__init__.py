"""Devices: their addresses, the names that users give them, and what both stand for."""

from lading.devices.resolve import Device, EmulatedDevice, resolve, resolve_many

__all__ = ["Device", "EmulatedDevice", "resolve", "resolve_many"]
