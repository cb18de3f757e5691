"""Models that pass every check of an interpreter's loader, and then take its process down or never come back."""

from __future__ import annotations

from typing import Any

import numpy as np

INT32_MIN = -(2**31)


def endless_recursion() -> bytes:
    """Two WHILE loops, each the other's condition: preparing one prepares the other, until the stack is used up."""
    from ai_edge_litert import schema_py_generated as schema

    graphs = []
    for name, condition, body in (("main", 1, 2), ("a", 2, 1), ("b", 1, 2)):
        options = schema.WhileOptionsT()
        options.condSubgraphIndex, options.bodySubgraphIndex = condition, body
        operator = _operator([0], [1], schema.BuiltinOptions.WhileOptions, options)
        graphs.append(_graph(name, [_tensor("x", [1, 4]), _tensor("y", [1, 4])], [operator], [0], [1]))
    return _model([schema.BuiltinOperator.WHILE], graphs, [schema.BufferT()])


def endless_loop() -> bytes:
    """``while (-x < x) x = |x|``: with x above zero ``compute`` does not return. Input ``[1] f32``."""
    from ai_edge_litert import schema_py_generated as schema

    kinds = schema.BuiltinOptions
    options = schema.WhileOptionsT()
    options.condSubgraphIndex, options.bodySubgraphIndex = 1, 2
    loop = _operator([0], [1], kinds.WhileOptions, options)
    negate = _operator([0], [1], kinds.NegOptions, schema.NegOptionsT(), 1)
    compare = _operator([1, 0], [2], kinds.LessOptions, schema.LessOptionsT(), 2)
    absolute = _operator([0], [1], kinds.AbsOptions, schema.AbsOptionsT(), 3)
    x, y, goes_on = _tensor("x", [1]), _tensor("y", [1]), _tensor("goes_on", [1], schema.TensorType.BOOL)
    graphs = [
        _graph("main", [x, y], [loop], [0], [1]),
        _graph("condition", [x, y, goes_on], [negate, compare], [0], [2]),
        _graph("body", [x, y], [absolute], [0], [1]),
    ]
    operators = schema.BuiltinOperator
    return _model([operators.WHILE, operators.NEG, operators.LESS, operators.ABS], graphs, [schema.BufferT()])


def arithmetic_trap() -> bytes:
    """``x mod -1`` of i32: with the smallest x, the division traps on x86-64 (SIGFPE). Input ``[4] i32``."""
    from ai_edge_litert import schema_py_generated as schema

    divisor = schema.BufferT()
    divisor.data = np.full(4, -1, "<i4").view(np.uint8)
    int32 = schema.TensorType.INT32
    tensors = [_tensor("x", [4], int32), _tensor("divisor", [4], int32, 1), _tensor("y", [4], int32)]
    operator = _operator([0, 1], [2], schema.BuiltinOptions.FloorModOptions, schema.FloorModOptionsT())
    graph = _graph("main", tensors, [operator], [0], [2])
    return _model([schema.BuiltinOperator.FLOOR_MOD], [graph], [schema.BufferT(), divisor])


def _tensor(name: str, shape: list[int], kind: int = 0, buffer: int = 0) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name, shape, kind, buffer
    return tensor


def _operator(inputs: list[int], outputs: list[int], kind: int, options: Any, code: int = 0) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = code, inputs, outputs
    operator.builtinOptionsType, operator.builtinOptions = kind, options
    return operator


def _graph(name: str, tensors: list[Any], operators: list[Any], inputs: list[int], outputs: list[int]) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    graph = schema.SubGraphT()
    graph.name, graph.tensors, graph.operators, graph.inputs, graph.outputs = name, tensors, operators, inputs, outputs
    return graph


def _model(operators: list[int], graphs: list[Any], buffers: list[Any], version: int = 1) -> bytes:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    codes = []
    for operator in operators:
        code = schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode = operator, min(operator, 127)
        code.version = version
        codes.append(code)
    model = schema.ModelT()
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, codes, graphs, buffers
    model.description = "made for a test"
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
