"""Probing: what a device can really do, found out by facts and by small guests that exercise its own runtime."""
