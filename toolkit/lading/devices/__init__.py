"""Devices: their addresses, the names that users give them, and what both stand for."""
