"""Versions of quantized operators, and signatures, put right where a quantizer leaves them out.

A runtime refuses an operator version that it does not know. A model whose int8 operators say version 1 gets past an old
runtime that computes something else then, silently: so each operator gets the version that TFLite's own converter
writes for its types (tools/versioning/op_version.cc).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from lading.variants.models import opened as at
from lading.variants.models.opened import Opened
from lading.variants.models.tables import Front, joined

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lading.tflite.model import Operator, Subgraph, Tensor

_SECOND: Final = """
ABS ADD ARG_MAX ARG_MIN AVERAGE_POOL_2D BATCH_MATMUL BATCH_TO_SPACE_ND CONCATENATION DEPTH_TO_SPACE DEQUANTIZE EQUAL EXP
GATHER GELU GREATER GREATER_EQUAL L2_NORMALIZATION LESS LESS_EQUAL LOG LOGISTIC LOG_SOFTMAX MAXIMUM MAX_POOL_2D MEAN
MINIMUM MIRROR_PAD MUL NOT_EQUAL PACK PAD PADV2 REDUCE_MAX REDUCE_MIN REDUCE_PROD RELU RELU6 RESIZE_BILINEAR
RESIZE_NEAREST_NEIGHBOR RSQRT SELECT SLICE SOFTMAX SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPLIT_V SQUARED_DIFFERENCE
STRIDED_SLICE SUB SUM TANH TOPK_V2 TRANSPOSE UNPACK
"""
_THIRD: Final = "BROADCAST_TO CAST CONV_2D DEPTHWISE_CONV_2D REVERSE_V2 SVDF TILE"
_INT8: Final[Mapping[str, int]] = {
    **dict.fromkeys(_SECOND.split(), 2),
    **dict.fromkeys(_THIRD.split(), 3),
    "FULLY_CONNECTED": 4,
}
"""Operators whose first input is int8, with the version for it."""

_INT8_AT: Final = {"SPLIT": (1, 2), "TRANSPOSE_CONV": (1, 2)}
"""Operators where another input counts: which, and the version."""

_HYBRID: Final = {
    "CONV_2D": (2, 5),
    "DEPTHWISE_CONV_2D": (4, 6),
    "FULLY_CONNECTED": (3, 12),
}
"""f32 with int8 weights: the version for weights of one scale, and of one a channel."""


def with_versions(model: bytes) -> bytes:
    """A model whose operators say at least the version that their types ask for."""
    opened = Opened(model)
    needed: dict[int, int] = {}
    for number, graph in enumerate(opened.facts.subgraphs):
        table = opened.table(opened.root, at.MODEL_SUBGRAPHS, number, "a subgraph")
        for position, operator in enumerate(graph.operators):
            code = opened.table(table, at.GRAPH_OPERATORS, position, "an operator").scalar(0, "I", 0, "a code")
            needed[code] = max(needed.get(code, 1), version(operator, graph))
    raised = {n: v for n, v in needed.items() if v > opened.facts.operator_codes[n].version}
    if not raised:
        return model

    def build(moved: int) -> bytes:
        front = Front(opened, moved)
        codes = front.old(opened.root, at.MODEL_CODES)
        for number, wanted in raised.items():
            old = opened.table(opened.root, at.MODEL_CODES, number, "an operator code")
            codes[number] = front.copy(old, "OperatorCode", {at.CODE_VERSION: wanted})
        return front.finish({at.MODEL_CODES: front.vector(codes)})

    return bytes(joined(opened, build))


def version(operator: Operator, graph: Subgraph) -> int:
    """The version that an operator's types ask for; 1 where nothing is known about it."""
    if operator.key.custom or not operator.inputs or not operator.outputs:
        return 1
    inputs = [graph.tensors[i] if i >= 0 else None for i in operator.inputs]
    output = graph.tensors[operator.outputs[0]]
    name, first = operator.key.name, inputs[0]
    weights = inputs[1] if len(inputs) > 1 else None
    if name in _INT8_AT:
        place, wanted = _INT8_AT[name]
        of = inputs[place] if len(inputs) > place else None
        return wanted if of is not None and of.dtype == "int8" else 1
    if first is None:
        return 1
    if first.dtype == "int8":
        return max(_INT8.get(name, 1), _special(name, inputs, output))
    hybrid = first.dtype == output.dtype == "float32" and weights is not None and weights.dtype == "int8"
    if hybrid and name in _HYBRID:
        assert weights is not None
        one, per_channel = _HYBRID[name]
        return per_channel if weights.quantization is not None and weights.quantization.per_channel else one
    return 1


def _special(name: str, inputs: list[Tensor | None], output: Tensor) -> int:
    if name == "DEQUANTIZE":
        source = inputs[0]
        assert source is not None
        return 5 if source.quantization is not None and source.quantization.per_channel else 1
    if name == "FULLY_CONNECTED":
        return 6 if len(inputs) == 2 else 1
    if name == "MUL":
        scales = [t.quantization.scales[0] if t is not None and t.quantization else 0.0 for t in (*inputs, output)]
        factor = math.prod(scales[:-1]) / scales[-1] if scales[-1] else 0.0
        return 3 if factor >= 1 else 1
    return 1
