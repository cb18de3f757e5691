"""Models whose tensors have a size, rank or type that not every interface to the interpreter knows."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.support.killer_models import _graph, _model, _operator, _tensor


def where(size: int) -> bytes:
    """The positions of what is true. Input ``[size] bool``, output ``[?, 1] i64``."""
    from ai_edge_litert import schema_py_generated as schema

    kinds = schema.TensorType
    tensors = [_tensor("x", [size], kinds.BOOL), _tensor("y", [1, 1], kinds.INT64)]
    operator = _operator([0], [1], schema.BuiltinOptions.WhereOptions, schema.WhereOptionsT())
    return _model([schema.BuiltinOperator.WHERE], [_graph("main", tensors, [operator], [0], [1])], [schema.BufferT()])


def where_between(size: int) -> bytes:
    """Data decide the size of a tensor in the middle only. Input ``[size] bool``, output ``[1, 1] f32``."""
    from ai_edge_litert import schema_py_generated as schema

    kinds, options, codes = schema.TensorType, schema.BuiltinOptions, schema.BuiltinOperator
    tensors = [
        _tensor("x", [size], kinds.BOOL),
        _tensor("where", [1, 1], kinds.INT64),
        _tensor("floats", [1, 1], kinds.FLOAT32),
        _tensor("axes", [2], kinds.INT32),
        _tensor("y", [1, 1], kinds.FLOAT32),
    ]
    tensors[3].buffer = 1
    reducer = schema.ReducerOptionsT()
    reducer.keepDims = True
    operators = [
        _operator([0], [1], options.WhereOptions, schema.WhereOptionsT()),
        _operator([1], [2], options.CastOptions, schema.CastOptionsT()),
        _operator([2, 3], [4], options.ReducerOptions, reducer),
    ]
    for code, operator in enumerate(operators):
        operator.opcodeIndex = code
    graph = _graph("main", tensors, operators, [0], [4])
    return _model([codes.WHERE, codes.CAST, codes.SUM], [graph], [schema.BufferT(), _numbers([0, 1])])


def of_rank(rank: int, *, outside: bool) -> bytes:
    """``f32`` of four elements, in so many dimensions: of input and output (``outside``), or of a tensor between."""
    from ai_edge_litert import schema_py_generated as schema

    form = [1] * (rank - 1) + [4]
    f32 = schema.TensorType.FLOAT32
    if outside:
        graph = _graph(
            "main", [_tensor("x", form, f32), _tensor("y", form, f32)], [_operator([0], [1], 0, None)], [0], [1]
        )
        return _model([schema.BuiltinOperator.ABS], [graph], [schema.BufferT()])
    i32 = schema.TensorType.INT32
    tensors = [_tensor("x", [4], f32), _tensor("a", [rank], i32), _tensor("between", form, f32), _tensor("b", [1], i32)]
    tensors.append(_tensor("y", [4], f32))
    tensors[1].buffer, tensors[3].buffer = 1, 2
    reshape = schema.BuiltinOptions.ReshapeOptions
    operators = [
        _operator(ins, outs, reshape, schema.ReshapeOptionsT()) for ins, outs in (([0, 1], [2]), ([2, 3], [4]))
    ]
    graph = _graph("main", tensors, operators, [0], [4])
    return _model([schema.BuiltinOperator.RESHAPE], [graph], [schema.BufferT(), _numbers(form), _numbers([4])])


def with_a_tensor_of(kind: str) -> bytes:
    """``[4] f32 → [4] f32``, with another tensor of a type by its name in TFLite's schema."""
    from ai_edge_litert import schema_py_generated as schema

    f32 = schema.TensorType.FLOAT32
    tensors = [_tensor("x", [4], f32), _tensor("y", [4], f32), _tensor("odd", [1], getattr(schema.TensorType, kind))]
    graph = _graph("main", tensors, [_operator([0], [1], 0, None)], [0], [1])
    return _model([schema.BuiltinOperator.ABS], [graph], [schema.BufferT()])


def _numbers(values: list[int]) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    buffer = schema.BufferT()
    buffer.data = np.frombuffer(np.asarray(values, "<i4").tobytes(), np.uint8)
    return buffer


def absolute(form: list[int], said: list[int] | None = None, *, version: int = 1, result: int = 1) -> bytes:
    """``|x|`` of ``f32`` in that form; ``said``: what the file says of the output's form.

    Args:
        form: the input's dimensions.
        said: another form than the input's.
        version: of the operator.
        result: the number of the operator's output; there are tensors 0 and 1.
    """
    from ai_edge_litert import schema_py_generated as schema

    tensors = [_tensor("x", form), _tensor("y", form if said is None else said)]
    graph = _graph("main", tensors, [_operator([0], [result], 0, None)], [0], [1])
    return _model([schema.BuiltinOperator.ABS], [graph], [schema.BufferT()], version)


def broadcast(form: list[int]) -> bytes:
    """``[1] f32`` repeated in that form."""
    from ai_edge_litert import schema_py_generated as schema

    tensors = [_tensor("x", [1]), _tensor("form", [len(form)], schema.TensorType.INT32, 1), _tensor("y", form)]
    graph = _graph("main", tensors, [_operator([0, 1], [2], 0, None)], [0], [2])
    return _model([schema.BuiltinOperator.BROADCAST_TO], [graph], [schema.BufferT(), _numbers(form)], 2)


def counting(size: int) -> bytes:
    """State of a size: input ``x [size] f32``, outputs ``x + 1`` (``next``) and its sum ``[1] f32`` (``sum``)."""
    from ai_edge_litert import schema_py_generated as schema

    options, codes = schema.BuiltinOptions, schema.BuiltinOperator
    tensors = [
        _tensor("x", [size]),
        _tensor("one", [1], schema.TensorType.FLOAT32, 1),
        _tensor("next", [size]),
        _tensor("axes", [1], schema.TensorType.INT32, 2),
        _tensor("sum", [1]),
    ]
    reducer = schema.ReducerOptionsT()
    reducer.keepDims = True
    operators = [
        _operator([0, 1], [2], options.AddOptions, schema.AddOptionsT(), 0),
        _operator([2, 3], [4], options.ReducerOptions, reducer, 1),
    ]
    one = schema.BufferT()
    one.data = np.frombuffer(np.asarray([1], "<f4").tobytes(), np.uint8)
    return _model(
        [codes.ADD, codes.SUM],
        [_graph("main", tensors, operators, [0], [2, 4])],
        [schema.BufferT(), one, _numbers([0])],
    )


def with_zero_point(zero: int) -> bytes:
    """``int8 [4]``, a scale of 1 and that zero point, through ``MAXIMUM`` with itself."""
    from ai_edge_litert import schema_py_generated as schema

    tensors = [_tensor("x", [4], schema.TensorType.INT8), _tensor("y", [4], schema.TensorType.INT8)]
    for tensor in tensors:
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale, tensor.quantization.zeroPoint = [1.0], [zero]
    graph = _graph("main", tensors, [_operator([0, 0], [1], 0, None)], [0], [1])
    return _model([schema.BuiltinOperator.MAXIMUM], [graph], [schema.BufferT()], 2)
