"""Guest memory as one flat view, kept as long as the memory does not grow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wasmtime import Memory, Store


class GuestMemory:
    """The guest's exported memory.

    ``view`` and ``array`` show the bytes in place. They stay right until the memory grows: :meth:`refresh` at the
    beginning of each call notices by the length (a memory moves only when it grows, and never shrinks).
    """

    __slots__ = ("_memory", "_store", "array", "size", "view")

    def __init__(self, store: Store, memory: Memory) -> None:
        self._store = store
        self._memory = memory
        self.size = -1
        self.view = memoryview(b"")
        self.array: Any = None
        self.refresh()

    def refresh(self) -> None:
        """Look whether the memory has grown since the last call."""
        size = self._memory.data_len(self._store)
        if size != self.size:
            self._map(size)

    def _map(self, size: int) -> None:
        import numpy as np

        if size:
            buffer = self._memory.get_buffer_ptr(self._store, size)
            self.view = memoryview(buffer).cast("B")
            self.array = np.frombuffer(self.view, dtype=np.uint8)
        else:
            self.array = np.zeros(0, dtype=np.uint8)
            self.view = memoryview(bytearray())
        self.size = size
