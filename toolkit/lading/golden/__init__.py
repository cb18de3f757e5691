"""Golden vectors: inputs of a bare model with the outputs that a device must give."""

from lading.golden.record import Recorded, record

__all__ = ["Recorded", "record"]
