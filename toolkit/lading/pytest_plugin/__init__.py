"""The pytest plugin: tests of guests and models on devices, real, under QEMU or emulated (``docs/pytest.md``)."""

from lading.numerics.asserting import assert_tensors_close

__all__ = ["assert_tensors_close"]
