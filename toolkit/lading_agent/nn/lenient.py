"""How bytes pass between guest and tensor on a host that says yes: whatever can be understood is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Tuple

if TYPE_CHECKING:
    from lading_agent.nn.calls import Call
    from lading_agent.nn.facts import TensorFacts


def understood(tensor: TensorFacts, call: Call) -> Tuple[str, int]:
    """What the guest's bytes are: the tensor's own, f32 for it, or nothing that can be used."""
    given = 4 * tensor.count if call.data_length is None else call.data_length
    if call.ranges["data"][0] + given > call.memory_size:
        return "drop", 0
    if given == tensor.nbytes:
        return "copy", tensor.nbytes
    if tensor.quantized and given == 4 * tensor.count:
        return "quantize", given
    return "drop", 0


def wanted(
    facts: TensorFacts, raw: int, call: Call, *, floats: bool, count_elements: bool = False
) -> Tuple[str, int, int]:
    """How an output goes out: the way, the bytes (-1: it cannot), and the size that is told.

    Args:
        facts: the output.
        raw: its bytes in its own type.
        call: the call.
        floats: the guest gave f32 for the model's integers.
        count_elements: sizes count elements, not bytes, in every layout.
    """
    elements = raw // max(facts.element_bytes, 1)
    if call.capacity < min(elements, raw // 4, raw):
        return "", -1, 0
    if "capacity" not in call.args or count_elements:
        # The old layout counts elements and hands out f32; a guest that gives bytes has more than enough.
        return ("dequantize", 4 * elements, elements) if facts.quantized else ("copy", raw, elements)
    if facts.quantized and floats and call.capacity >= 4 * elements:
        return "dequantize", 4 * elements, 4 * elements
    if call.capacity < raw:  # some hosts count other things than bytes, and overrun the buffer: we do not
        return "part", call.capacity, raw
    return "copy", raw, raw
