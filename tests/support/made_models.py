"""TFLite models made on the spot, of any size: a stack of fully connected f32 layers without an operator version
that old runtimes refuse."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path


def fully_connected(layers: int, width: int, *, repeat: int = 1) -> bytes:
    """A model ``[1, width] f32 → [1, width] f32`` of ``layers`` weight matrices, each used ``repeat`` times.

    With ``repeat`` a small file takes a long time to compute.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    random = np.random.default_rng(7)
    buffers = [schema.BufferT()]
    tensors = [_tensor("x", [1, width], 0)]
    operators = []
    weights = []
    for layer in range(layers):
        data = (random.standard_normal((width, width)) / np.sqrt(width)).astype("<f4").tobytes()
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(data, np.uint8)
        buffers.append(buffer)
        weights.append(len(tensors))
        tensors.append(_tensor(f"w{layer}", [width, width], len(buffers) - 1))
    current = 0
    for step in range(layers * repeat):
        last = step == layers * repeat - 1
        tensors.append(_tensor("y" if last else f"h{step}", [1, width], 0))
        operator = schema.OperatorT()
        operator.opcodeIndex = 0
        operator.inputs = [current, weights[step % layers], -1]
        operator.outputs = [len(tensors) - 1]
        operator.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
        operator.builtinOptions = schema.FullyConnectedOptionsT()
        operators.append(operator)
        current = len(tensors) - 1

    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    code.version = 1
    graph = schema.SubGraphT()
    graph.tensors, graph.operators, graph.inputs, graph.outputs, graph.name = tensors, operators, [0], [current], "main"
    model = schema.ModelT()
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], buffers
    model.description = "made for a test"
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def with_custom_operator(data: bytes) -> bytes:
    """A model whose first kind of operator has become a custom one that nobody knows."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
    code = model.operatorCodes[0]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode = "Nobody"
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def write(path: Path, layers: int, width: int, *, repeat: int = 1) -> Path:
    """Write :func:`fully_connected` to ``path``."""
    path.write_bytes(fully_connected(layers, width, repeat=repeat))
    return path


def _tensor(name: str, shape: list[int], buffer: int):  # type: ignore[no-untyped-def]
    from ai_edge_litert import schema_py_generated as schema

    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name, shape, schema.TensorType.FLOAT32, buffer
    return tensor
