"""What a probe guest does: a list of wasi-nn calls over a memory image, the same for guest, prediction and report.

A case says in neutral words what is called (``load`` this model, ``set_input`` with that type code); a :class:`Script`
lays it out in the memory of one of the two ABIs. The result, a :class:`Program`, is what the guest is assembled from
and what the prediction walks through, so that both mean the same bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from lading_agent.nn.decode import PARAMETERS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Layout = Literal["witx", "wamr-legacy"]

LAYOUT_OF: Final[Mapping[str, Layout]] = {"wasi_ephemeral_nn": "witx", "wasi_nn": "wamr-legacy"}
"""The import modules that are probed, with the memory layout that each uses."""

PAGES: Final = 2
SIZE: Final = PAGES * 65536
"""Bytes of guest memory."""
FIRST: Final = 16384
"""Where a script's own data begins; below it the guest keeps what it needs for itself."""
OUTSIDE: Final = 0xFFFF0000
"""A pointer far outside of any probe guest's memory."""
ROOM: Final = 256
"""Bytes that are kept free for one output, more than any host is known to write for it."""
SHOWN: Final = 32
"""Bytes of an output that the guest prints."""

F32: Final = 1
TFLITE: Final = 4
"""The number of ``tensorflowlite``, which every numbering shares (as they share f32)."""


@dataclass(frozen=True)
class Ref:
    """The u32 that lies at an address when the call is made: a handle that an earlier call gave."""

    at: int


Arg = int | Ref


@dataclass(frozen=True)
class RawCall:
    """One call as the guest makes it."""

    function: str
    args: tuple[Arg, ...]
    item: int
    """The item of the case that it belongs to; -1 for what comes before all items."""
    watch: tuple[tuple[int, int], ...] = ()
    """Places and lengths of memory that are printed after it."""
    if_ok: bool = False
    """Only made when all calls of the item so far returned 0."""
    note: str = ""
    """The call in words, for reports."""


@dataclass(frozen=True)
class Program:
    """Everything that makes a guest."""

    module: str = "wasi_ephemeral_nn"
    calls: tuple[RawCall, ...] = ()
    pieces: tuple[tuple[int, bytes], ...] = ()
    imports: tuple[tuple[str, str, int], ...] = ()
    """Further imports that are not called: module, name, number of i32 parameters."""
    wasi: str = "wasi_snapshot_preview1"
    memory: bool = True
    """Whether the memory is exported. Without it the guest can only speak by its exit status."""
    end: Literal["return", "trap", "exit"] = "return"
    status: int = 0
    """Exit status with ``end = "exit"``."""
    feature: str = ""
    """A wasm feature that the module uses (see :mod:`lading.probe.features`)."""
    raw: bytes | None = None
    """The module's bytes in place of everything else."""

    @property
    def functions(self) -> tuple[str, ...]:
        """The functions that are called, each once."""
        return tuple(dict.fromkeys(call.function for call in self.calls))


@dataclass
class Script:
    """Lays out memory and calls in one ABI."""

    module: str = "wasi_ephemeral_nn"
    calls: list[RawCall] = field(default_factory=list)
    pieces: list[tuple[int, bytes]] = field(default_factory=list)
    imports: list[tuple[str, str, int]] = field(default_factory=list)
    item: int = -1
    _free: int = FIRST
    _known: dict[bytes, int] = field(default_factory=dict)

    @property
    def layout(self) -> Layout:
        """The memory layout of the module's functions."""
        return LAYOUT_OF[self.module]

    @property
    def legacy(self) -> bool:
        """Whether it is WAMR's old layout, which carries no data length and counts sizes its own way."""
        return self.layout == "wamr-legacy"

    def put(self, data: bytes) -> int:
        """Lay bytes into memory; returns where."""
        at = -(-self._free // 8) * 8
        self._free = at + len(data)
        if self._free > SIZE - 4096:
            raise ValueError("a probe guest's memory is full")
        self.pieces.append((at, data))
        return at

    def constant(self, data: bytes) -> int:
        """Bytes that nobody writes to: laid into memory once."""
        if data not in self._known:
            self._known[data] = self.put(data)
        return self._known[data]

    def call(
        self, function: str, *args: Arg, watch: Sequence[tuple[int, int]] = (), if_ok: bool = False, note: str = ""
    ) -> None:
        """Make a call."""
        plain = tuple(a if isinstance(a, Ref) else a & 0xFFFFFFFF for a in args)
        self.calls.append(RawCall(function, plain, self.item, tuple(watch), if_ok, note or function))

    def load(
        self,
        model: bytes,
        *,
        encoding: int = TFLITE,
        target: int = 0,
        builders: int = 1,
        builders_at: int | None = None,
        model_at: int | None = None,
        model_length: int | None = None,
        graph_at: int | None = None,
        note: str = "",
    ) -> Ref:
        """Call ``load``; returns the handle that it gives."""
        where = self.constant(model) if model_at is None else model_at
        length = len(model) if model_length is None else model_length
        record = struct.pack("<II", where & 0xFFFFFFFF, length) * max(1, min(builders, 2))
        array = self.constant(record) if builders_at is None else builders_at
        handle = self.put(b"\xee" * 4)
        out = handle if graph_at is None else graph_at
        note = f"load({note or f'{len(model)} bytes'}, encoding {encoding}, target {target})"
        watch = [(handle, 4)]
        if self.legacy:
            pair = self.constant(struct.pack("<II", array & 0xFFFFFFFF, builders))
            self.call("load", pair, encoding, target, out, watch=watch, note=note)
        else:
            self.call("load", array, builders, encoding, target, out, watch=watch, note=note)
        return Ref(handle)

    def load_by_name(
        self,
        name: bytes,
        *,
        at: int | None = None,
        length: int | None = None,
        graph_at: int | None = None,
        config: bytes | None = None,
        note: str = "",
    ) -> Ref:
        """Call ``load_by_name``, or with ``config`` ``load_by_name_with_config``."""
        handle = self.put(b"\xee" * 4)
        where = self.constant(name + b"\xaa" * 8) if at is None else at
        args = [where, len(name) if length is None else length]
        function = "load_by_name"
        if config is not None:
            function = "load_by_name_with_config"
            args += [self.constant(config), len(config)]
        out = handle if graph_at is None else graph_at
        self.call(function, *args, out, watch=[(handle, 4)], note=f"{function}({note or repr(name)[1:]})")
        return Ref(handle)

    def init(self, graph: Arg, *, context_at: int | None = None, note: str = "", if_ok: bool = False) -> Ref:
        """Call ``init_execution_context``; returns the handle that it gives."""
        handle = self.put(b"\xee" * 4)
        out = handle if context_at is None else context_at
        said = note or ("graph" if isinstance(graph, Ref) else f"graph {graph}")
        self.call(
            "init_execution_context",
            graph,
            out,
            watch=[(handle, 4)],
            if_ok=if_ok,
            note=f"init_execution_context({said})",
        )
        return Ref(handle)

    def set_input(
        self,
        context: Arg,
        code: int,
        data: bytes,
        *,
        index: int = 0,
        dims: Sequence[int] = (1, 4),
        length: int | None = None,
        tensor_at: int | None = None,
        dims_at: int | None = None,
        data_at: int | None = None,
        note: str = "",
    ) -> None:
        """Call ``set_input``; the padding of the tensor record is dirty."""
        shape = self.constant(struct.pack(f"<{len(dims)}I", *dims) or b"\0\0\0\0") if dims_at is None else dims_at
        where = self.constant(data) if data_at is None else data_at
        kind = struct.pack("<B", code & 0xFF) + b"\xff\xaa\x55"
        if self.legacy:
            pair = self.constant(struct.pack("<II", shape & 0xFFFFFFFF, len(dims)))
            # The legacy record's type is a whole u32: a clean one, as its own header makes it.
            record = struct.pack("<III", pair, code, where & 0xFFFFFFFF)
        else:
            size = len(data) if length is None else length
            record = struct.pack("<II", shape & 0xFFFFFFFF, len(dims)) + kind
            record += struct.pack("<II", where & 0xFFFFFFFF, size)
        at = self.constant(record) if tensor_at is None else tensor_at
        said = note or f"type {code}, {'x'.join(map(str, dims)) or 'scalar'}, {len(data)} bytes"
        self.call("set_input", context, index, at, note=f"set_input({said})")

    def compute(self, context: Arg, *, function: str = "compute", if_ok: bool = False, note: str = "") -> None:
        """Call ``compute``."""
        self.call(function, context, if_ok=if_ok, note=note or function)

    def get_output(
        self,
        context: Arg,
        capacity: int,
        *,
        index: int = 0,
        output_at: int | None = None,
        size_at: int | None = None,
        function: str = "get_output",
        if_ok: bool = False,
        note: str = "",
    ) -> None:
        """Call ``get_output`` with a buffer that is said to hold ``capacity``, in the unit of the layout."""
        buffer = self.put(b"\xcc" * ROOM)
        size = self.put(struct.pack("<I", capacity) if self.legacy else b"\xee" * 4)
        watch = [(size, 4), (buffer, SHOWN)]
        said = f"{function}({note or f'index {index}, size {capacity}'})"
        at = buffer if output_at is None else output_at
        out = size if size_at is None else size_at
        if self.legacy:
            self.call(function, context, index, at, out, watch=watch, if_ok=if_ok, note=said)
        else:
            self.call(function, context, index, at, capacity, out, watch=watch, if_ok=if_ok, note=said)

    def has(self, function: str) -> bool:
        """Whether the layout knows a function at all."""
        return function in PARAMETERS[self.layout]

    def program(self) -> Program:
        """What was laid out."""
        return Program(self.module, tuple(self.calls), tuple(self.pieces), tuple(self.imports))
