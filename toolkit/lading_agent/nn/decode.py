"""From raw parameters and guest memory to a :class:`~lading_agent.nn.calls.Call`, for each memory layout.

Nothing that the guest says is believed: a piece is read only when it lies inside memory, and never more of it than is
needed.
"""

from __future__ import annotations

import struct
from typing import Callable, Dict, Mapping, Optional, Protocol, Sequence, Tuple

from lading_agent.nn.calls import Call

MOST_DIMS = 64
MOST_NAME = 4096

_U32 = struct.Struct("<I")
_PAIR = struct.Struct("<II")
_WITX_TENSOR = struct.Struct("<IIBxxxII")
_LEGACY_TENSOR = struct.Struct("<IBxxxI")


class Memory(Protocol):
    """Guest memory as decoders need it."""

    size: int
    view: memoryview


Decoder = Callable[[Call, Mapping[str, int], Optional[Memory]], None]


def decode(layout: str, function: str, names: Sequence[str], values: Sequence[int], memory: Optional[Memory]) -> Call:
    """Decode one call.

    Args:
        layout: the profile's ``abi.layout``.
        function: name of the function.
        names: its parameters' names, from the profile.
        values: the parameters as the engine gave them (signed or not).
        memory: guest memory, or ``None`` when the guest exports none.
    """
    args = {n: v & 0xFFFFFFFF for n, v in zip(names, values)}
    call = Call(function, args, memory.size if memory is not None else 0, memory is not None)
    decoder = LAYOUTS[layout].get(function)
    if decoder is not None:
        decoder(call, args, memory)
    return call


def _pair(call: Call, what: str, memory: Optional[Memory]) -> Optional[Tuple[int, int]]:
    if memory is None or not call.readable(what):
        return None
    first, second = _PAIR.unpack_from(memory.view, call.ranges[what][0])
    return first, second


def _load(call: Call, args: Mapping[str, int], memory: Optional[Memory]) -> None:
    call.builders = args["builder-count"]
    call.ranges["builders"] = (args["builders"], 8 * call.builders)
    call.ranges["graph-out"] = (args["graph-out"], 4)
    _builders(call, memory)


def _builders(call: Call, memory: Optional[Memory]) -> None:
    if not call.builders:
        call.ranges["every-model"] = (0, 0)
        return
    first = _pair(call, "builders", memory)
    if first is None or memory is None:
        return
    call.ranges["model"] = call.ranges["every-model"] = first
    at, length = call.ranges["builders"]
    call.models_readable = all(a + n <= memory.size for a, n in _PAIR.iter_unpack(memory.view[at : at + length]))


def _legacy_load(call: Call, args: Mapping[str, int], memory: Optional[Memory]) -> None:
    call.ranges["builder-array"] = (args["builder-array"], 8)
    call.ranges["graph-out"] = (args["graph-out"], 4)
    array = _pair(call, "builder-array", memory)
    if array is not None:
        call.builders = array[1]
        call.ranges["builders"] = (array[0], 8 * array[1])
        _builders(call, memory)


def _load_by_name(call: Call, args: Mapping[str, int], memory: Optional[Memory]) -> None:
    call.ranges["name"] = (args["name"], args["name-length"])
    call.ranges["graph-out"] = (args["graph-out"], 4)
    if "config" in args:
        call.ranges["config"] = (args["config"], args["config-length"])
    call.name, call.config = _text(call, "name", memory), _text(call, "config", memory)
    call.nul_behind = frozenset(w for w in ("name", "config") if _nul_behind(call, w, memory))
    if memory is not None and call.name is not None:
        at = call.ranges["name"][0]
        text = bytes(memory.view[at : at + MOST_NAME + 1])
        end = text.find(b"\0")
        call.path = text[:end] if end >= 0 else None


def _text(call: Call, what: str, memory: Optional[Memory]) -> Optional[bytes]:
    if memory is None or not call.readable(what):
        return None
    at, length = call.ranges[what]
    return bytes(memory.view[at : at + min(length, MOST_NAME + 1)])


def _nul_behind(call: Call, what: str, memory: Optional[Memory]) -> bool:
    found = call.ranges.get(what)
    return found is not None and memory is not None and sum(found) < memory.size and memory.view[sum(found)] == 0


def _init(call: Call, args: Mapping[str, int], memory: Optional[Memory]) -> None:  # noqa: ARG001
    call.ranges["context-out"] = (args["context-out"], 4)


def _set_input(call: Call, args: Mapping[str, int], memory: Optional[Memory]) -> None:
    call.ranges["tensor"] = (args["tensor"], _WITX_TENSOR.size)
    if memory is None or not call.readable("tensor"):
        return
    dims, length, code, data, data_length = _WITX_TENSOR.unpack_from(memory.view, args["tensor"])
    call.type_code = code
    call.data_length = data_length
    call.ranges["dims"] = (dims, 4 * length)
    call.ranges["data"] = (data, data_length)
    _dims(call, memory, dims, length)


def _legacy_set_input(call: Call, args: Mapping[str, int], memory: Optional[Memory]) -> None:
    call.ranges["tensor"] = (args["tensor"], _LEGACY_TENSOR.size)
    if memory is None or not call.readable("tensor"):
        return
    shape, code, data = _LEGACY_TENSOR.unpack_from(memory.view, args["tensor"])
    call.type_code = code
    call.ranges["dims-record"] = (shape, 8)
    record = _pair(call, "dims-record", memory)
    if record is None:
        return
    dims, length = record
    call.ranges["dims"] = (dims, 4 * length)
    _dims(call, memory, dims, length)
    call.ranges["data"] = (data, 4 * call.dims_count)


def _dims(call: Call, memory: Memory, at: int, length: int) -> None:
    call.dims_length = length
    if not call.readable("dims"):
        return
    shown = min(length, MOST_DIMS)
    call.dims = struct.unpack_from(f"<{shown}I", memory.view, at)
    count = 1
    for d in call.dims:
        count = count * d & 0xFFFFFFFF
    if length > shown:
        for (d,) in _U32.iter_unpack(memory.view[at + 4 * shown : at + 4 * length]):
            count = count * d & 0xFFFFFFFF
            if not count:
                break
    call.dims_count = count


def _get_output(call: Call, args: Mapping[str, int], memory: Optional[Memory]) -> None:  # noqa: ARG001
    call.capacity = args["capacity"]
    call.ranges["output"] = (args["output"], call.capacity)
    call.ranges["output-first-byte"] = (args["output"], 1)
    call.ranges["size-out"] = (args["size-out"], 4)


def _legacy_get_output(call: Call, args: Mapping[str, int], memory: Optional[Memory]) -> None:
    call.ranges["size-out"] = (args["size-out"], 4)
    call.ranges["output-first-byte"] = (args["output"], 1)
    if memory is not None and call.readable("size-out"):
        call.capacity = _U32.unpack_from(memory.view, args["size-out"])[0]
    call.ranges["output"] = (args["output"], call.capacity)


_COMMON: Dict[str, Decoder] = {
    "load_by_name": _load_by_name,
    "load_by_name_with_config": _load_by_name,
    "init_execution_context": _init,
}

LAYOUTS: Dict[str, Dict[str, Decoder]] = {
    "witx": {
        **_COMMON,
        "load": _load,
        "set_input": _set_input,
        "get_output": _get_output,
        "get_output_single": _get_output,
    },
    "wamr-legacy": {
        **_COMMON,
        "load": _legacy_load,
        "set_input": _legacy_set_input,
        "get_output": _legacy_get_output,
    },
}
"""Decoders by layout and function; a function that is not in it has no pointers."""

PARAMETERS: Dict[str, Dict[str, Tuple[str, ...]]] = {
    "witx": {
        "load": ("builders", "builder-count", "encoding", "target", "graph-out"),
        "load_by_name": ("name", "name-length", "graph-out"),
        "load_by_name_with_config": ("name", "name-length", "config", "config-length", "graph-out"),
        "init_execution_context": ("graph", "context-out"),
        "set_input": ("context", "index", "tensor"),
        "compute": ("context",),
        "get_output": ("context", "index", "output", "capacity", "size-out"),
        "compute_single": ("context",),
        "get_output_single": ("context", "index", "output", "capacity", "size-out"),
        "fini_single": ("context",),
        "unload": ("graph",),
        "finalize_execution_context": ("context",),
    },
    "wamr-legacy": {
        "load": ("builder-array", "encoding", "target", "graph-out"),
        "load_by_name": ("name", "name-length", "graph-out"),
        "init_execution_context": ("graph", "context-out"),
        "set_input": ("context", "index", "tensor"),
        "compute": ("context",),
        "get_output": ("context", "index", "output", "size-out"),
    },
}
"""The parameters of each function, as each layout has them: all i32, and so is the result."""
