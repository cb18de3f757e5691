"""One wasi-nn call, decoded: what the guest passed, as far as it could be read.

Both memory layouts (the WITX one, and WAMR's legacy one) end up in the same :class:`Call`, made by
:mod:`lading_agent.nn.decode` from guest memory or by anybody else from a trace.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, FrozenSet, Mapping, Optional, Tuple

Range = Tuple[int, int]
"""Offset in guest memory and length in bytes."""


@dataclass
class Call:
    """The arguments of one call.

    ``ranges`` names the pieces of guest memory that the call refers to. A piece that could not be found, because what
    points to it lies outside memory, is not in it.
    """

    function: str
    args: Mapping[str, int] = field(default_factory=dict)
    """The raw parameters by the names in the profile: unsigned 32-bit numbers."""
    memory_size: int = 0
    """Bytes of guest memory; 0 when the guest exports none."""
    has_memory: bool = True
    ranges: Dict[str, Range] = field(default_factory=dict)
    builders: int = 0
    """How many builders ``load`` was given."""
    models_readable: bool = True
    """The bytes of every builder, not only the first one's, lie inside memory."""
    name: Optional[bytes] = None
    """The name for ``load_by_name``; ``None`` when it could not be read."""
    config: Optional[bytes] = None
    """The configuration for ``load_by_name_with_config``; ``None`` when it could not be read."""
    nul_behind: FrozenSet[str] = frozenset()
    """Which of ``name`` and ``config`` have a NUL as the next byte."""
    path: Optional[bytes] = None
    """The same as a C string: up to the first NUL, also past its length; ``None`` when none comes inside memory."""
    type_code: int = 0
    dims: Tuple[int, ...] = ()
    """The dimensions, at most 64 of them."""
    dims_length: int = 0
    """How many there were."""
    dims_count: int = 0
    """Their product modulo 2**32, over all of them."""
    data_length: Optional[int] = None
    """Bytes of tensor data that the guest claims; ``None`` in a layout that carries no length."""
    capacity: int = 0
    """What the guest says about its output buffer's size, in the unit of the layout."""

    def readable(self, what: str) -> bool:
        """Whether a piece of guest memory was found and lies inside."""
        found = self.ranges.get(what)
        return found is not None and found[0] + found[1] <= self.memory_size

    def describe_dims(self) -> str:
        """``1x8x8x1``."""
        if self.dims_length > len(self.dims):
            return f"{self.dims_length} dimensions"
        return "x".join(map(str, self.dims)) or "scalar"


@dataclass(frozen=True)
class Transfer:
    """How tensor bytes go between guest memory and interpreter."""

    how: str
    """One of the ways in :data:`lading_agent.nn.rules.TRANSFERS`."""
    tensor: int
    """Index among the model's inputs or outputs."""
    nbytes: int
    """Bytes in guest memory."""


@dataclass
class Decision:
    """What a host does about one call."""

    outcome: str = "success"
    """``success``, an errno's name, ``trap``, ``abort``, ``segv``, ``link-error``."""
    errno: int = 0
    reason: str = ""
    """One line for the log; empty on success."""
    writes: Tuple[Tuple[str, int], ...] = ()
    """u32 values to write, by the name of the range."""
    transfer: Optional[Transfer] = None
    action: str = ""
    """What the interpreter has to do: ``invoke``, ``step``, ``reset`` or nothing."""
    action_fail: str = ""
    """The outcome when the interpreter says no."""
    graph: Optional[int] = None
    context: Optional[int] = None

    @property
    def ends_run(self) -> bool:
        """The guest does not get control back."""
        return self.outcome in CRASHES or self.outcome == "trap"


CRASHES = ("abort", "segv")
"""Outcomes in which the real host process dies by a signal."""
