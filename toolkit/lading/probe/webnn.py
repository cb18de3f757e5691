"""A capability report in the shape of WebNN's ``opSupportLimits()``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from lading.probe.prober import Probed

_TYPES: Final = {
    "f32": "float32",
    "f16": "float16",
    "i32": "int32",
    "i64": "int64",
    "u8": "uint8",
    "i8": "int8",
    "qu8": "uint8",
    "qi8": "int8",
}
_ORDER: Final = ("float32", "float16", "int32", "uint32", "int64", "uint64", "int8", "uint8")
_BY_NUMPY: Final = {"float32", "float16", "int32", "int64", "int8", "uint8"}
MOST_RANK: Final = 8
"""TensorFlow Lite's own limit for most operators."""
MOST_BYTES: Final = 2**31 - 1

OPERATORS: Final = {
    "add": "ADD",
    "argMax": "ARG_MAX",
    "argMin": "ARG_MIN",
    "averagePool2d": "AVERAGE_POOL_2D",
    "cast": "CAST",
    "concat": "CONCATENATION",
    "conv2d": "CONV_2D",
    "convTranspose2d": "TRANSPOSE_CONV",
    "dequantizeLinear": "DEQUANTIZE",
    "div": "DIV",
    "elu": "ELU",
    "exp": "EXP",
    "gather": "GATHER",
    "gelu": "GELU",
    "gemm": "FULLY_CONNECTED",
    "hardSwish": "HARD_SWISH",
    "leakyRelu": "LEAKY_RELU",
    "lstm": "UNIDIRECTIONAL_SEQUENCE_LSTM",
    "matmul": "BATCH_MATMUL",
    "max": "MAXIMUM",
    "maxPool2d": "MAX_POOL_2D",
    "min": "MINIMUM",
    "mul": "MUL",
    "pad": "PAD",
    "prelu": "PRELU",
    "quantizeLinear": "QUANTIZE",
    "relu": "RELU",
    "resample2d": "RESIZE_BILINEAR",
    "reshape": "RESHAPE",
    "sigmoid": "LOGISTIC",
    "slice": "SLICE",
    "softmax": "SOFTMAX",
    "split": "SPLIT",
    "sub": "SUB",
    "tanh": "TANH",
    "transpose": "TRANSPOSE",
    "where": "SELECT_V2",
}
"""WebNN's operators and the TFLite operator that does the same."""


def op_support_limits(probed: Probed) -> dict[str, Any]:
    """The shape that WebNN asks for. An operator that the firmware does not have has empty ``dataTypes``.

    What guests can pass (``input``) is measured where guests ran; operators come from the firmware profile.
    """
    types = _input_types(probed)
    limits = probed.profile.get("limits") or {}
    longest = [n for n in (limits.get("arena_bytes"), probed.target.get("run_memory_bytes"), MOST_BYTES) if n]
    rank = {"min": 0, "max": MOST_RANK}
    operand = {"dataTypes": types, "rankRange": rank}
    only = probed.profile.get("operator_list") or []
    operators = {
        name: {
            "input": operand if not only or builtin in only else {"dataTypes": [], "rankRange": {"min": 0, "max": 0}}
        }
        for name, builtin in OPERATORS.items()
    }
    return {
        "preferredInputLayout": "nhwc",
        "maxTensorByteLength": min(longest),
        "input": operand,
        "constant": operand,
        "output": operand,
        **operators,
    }


def _input_types(probed: Probed) -> list[str]:
    found: set[str] = set()
    if probed.measured:
        for name, codes in probed.measured["inputs"].items():
            passes = any(f.get("how") in ("copy", "quantize") for forms in codes.values() for f in forms.values())
            if passes and name in _TYPES:
                found.add(_TYPES[name])
    else:
        rules = (probed.profile.get("tensors") or {}).get("input", ())
        found = {r["tensor"] for r in rules if r.get("tensor") in _BY_NUMPY and r.get("how") in ("copy", "quantize")}
    return [name for name in _ORDER if name in found]
