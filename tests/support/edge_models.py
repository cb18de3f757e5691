"""Small models with whatever at their inputs and outputs, made on the spot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

STEPS = (0.05, -3)
"""Scale and zero point of what is int8 here, where nothing else is said."""

_VERSIONS = {("RELU", "int8"): 2, ("RELU", "uint8"): 2, ("DEQUANTIZE", "int8"): 2, ("ABS", "int8"): 2}


class Maker:
    """Collects tensors and operators of one subgraph; `build` writes the model."""

    def __init__(self) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self._schema = schema
        self.tensors: list[Any] = []
        self.operators: list[Any] = []
        self.codes: dict[tuple[str, int], int] = {}
        self.buffers: list[Any] = [schema.BufferT()]
        self.metadata: list[tuple[str, bytes]] = []
        self.extra: list[Any] = []
        self.dtypes: list[str] = []

    def tensor(
        self,
        name: str,
        dtype: str = "int8",
        *,
        shape: Sequence[int] = (1, 4),
        steps: tuple[float, int] | None = None,
        scales: Sequence[float] = (),
        data: bytes = b"",
        variable: bool = False,
        signature: Sequence[int] | None = None,
    ) -> int:
        """Add a tensor; returns its number. int8 ones are quantized by `STEPS` unless ``scales`` are given."""
        schema = self._schema
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.isVariable = name, list(shape), variable
        tensor.type = getattr(schema.TensorType, dtype.upper())
        if signature is not None:
            tensor.shapeSignature = list(signature)
        if dtype in {"int8", "uint8", "int16"} and steps is None and not scales:
            steps = (STEPS[0], STEPS[1] + 128) if dtype == "uint8" else STEPS if dtype == "int8" else (0.05, 0)
        if steps is not None or scales:
            quantization = schema.QuantizationParametersT()
            quantization.scale = list(scales) or [steps[0] if steps else 1.0]
            quantization.zeroPoint = [0] * len(scales) if scales else [steps[1] if steps else 0]
            tensor.quantization = quantization
        tensor.buffer = 0
        if data:
            tensor.buffer = self.buffer(data)
        self.tensors.append(tensor)
        self.dtypes.append(dtype)
        return len(self.tensors) - 1

    def raw(self, name: str, dtype: str) -> int:
        """A tensor without quantization."""
        number = self.tensor(name, dtype)
        self.tensors[number].quantization = None
        return number

    def buffer(self, data: bytes) -> int:
        """Add constant data."""
        buffer = self._schema.BufferT()
        buffer.data = np.frombuffer(data, np.uint8)
        self.buffers.append(buffer)
        return len(self.buffers) - 1

    def operator(self, kind: str, inputs: Sequence[int], outputs: Sequence[int]) -> Any:
        """Add a builtin operator."""
        version = _VERSIONS.get((kind, self.dtypes[inputs[0]]), 1)
        operator = self._schema.OperatorT()
        operator.opcodeIndex = self.codes.setdefault((kind, version), len(self.codes))
        operator.inputs, operator.outputs = list(inputs), list(outputs)
        self.operators.append(operator)
        return operator

    def signature(self, inputs: dict[str, int], outputs: dict[str, int], *, subgraph: int = 0, key: str = "s") -> Any:
        """A signature over tensors."""
        signature = self._schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = key, subgraph
        signature.inputs, signature.outputs = self._maps(inputs), self._maps(outputs)
        return signature

    def _maps(self, ends: dict[str, int]) -> list[Any]:
        maps = []
        for name, tensor in ends.items():
            entry = self._schema.TensorMapT()
            entry.name, entry.tensorIndex = name, tensor
            maps.append(entry)
        return maps

    def graph(self, inputs: Sequence[int], outputs: Sequence[int], name: str = "main") -> Any:
        """The subgraph as it is now; what comes after starts anew."""
        graph = self._schema.SubGraphT()
        graph.name, graph.tensors, graph.operators = name, self.tensors, self.operators
        graph.inputs, graph.outputs = list(inputs), list(outputs)
        self.tensors, self.operators, self.dtypes = [], [], []
        return graph

    def build(self, inputs: Sequence[int], outputs: Sequence[int], *, signatures: Sequence[Any] = ()) -> bytes:
        """The whole model; subgraphs in ``extra`` follow the main one."""
        return self.finish([self.graph(inputs, outputs), *self.extra], signatures)

    def finish(self, graphs: Sequence[Any], signatures: Sequence[Any] = ()) -> bytes:
        """The model of these subgraphs."""
        import flatbuffers

        schema = self._schema
        model = schema.ModelT()
        codes = []
        for kind, version in self.codes:
            code = schema.OperatorCodeT()
            code.builtinCode = getattr(schema.BuiltinOperator, kind)
            code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), version
            codes.append(code)
        model.metadata = []
        for name, data in self.metadata:
            entry = schema.MetadataT()
            entry.name, entry.buffer = name, self.buffer(data)
            model.metadata.append(entry)
        model.version, model.operatorCodes, model.subgraphs = 3, codes, list(graphs)
        model.buffers, model.description, model.signatureDefs = self.buffers, "made for a test", list(signatures)
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def through(dtype: str = "int8", **tensor: Any) -> bytes:
    """``x → RELU → y``, both of one type."""
    maker = Maker()
    x, y = maker.tensor("x", dtype, **tensor), maker.tensor("y", dtype, **tensor)
    maker.operator("RELU", [x], [y])
    return maker.build([x], [y], signatures=[maker.signature({"in": x}, {"out": y})])


def external(data: bytes) -> bytes:
    """The same model with its constant data behind the FlatBuffer, as models over 2 GiB keep them."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
    kept = [bytes(b.data) if b.data is not None else b"" for b in model.buffers]
    for buffer, held in zip(model.buffers, kept, strict=True):
        buffer.data, buffer.offset, buffer.size = None, 1 if held else 0, len(held)

    def packed() -> bytes:
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    at = -(-len(packed()) // 16) * 16
    tail = bytearray()
    for buffer, held in zip(model.buffers, kept, strict=True):
        if held:
            buffer.offset = at + len(tail)
            tail += held.ljust(-(-len(held) // 16) * 16, b"\0")
    front = packed()
    assert len(front) <= at
    return front.ljust(at, b"\0") + bytes(tail)
