"""Reading TFLite models. The file is hostile: see :mod:`lading.tflite.flatbuffer`."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from lading.errors import ModelError
from lading.tflite.flatbuffer import Damaged, Source, Table, root
from lading.tflite.model import (
    DTYPES,
    Metadata,
    Model,
    Operator,
    OperatorKey,
    Quantization,
    Signature,
    SignatureEnd,
    Subgraph,
    Tensor,
)

IDENTIFIER: Final = b"TFL3"
MOST_BYTES: Final = 2**31
_MOST_UNITS: Final = 16_000_000
_LEAST_UNITS: Final = 16_384
_MOST_DIMENSIONS: Final = 32
_OPTIONAL: Final = -1
_CUSTOM: Final = 32
_OTHER_FORMATS: Final = (
    (b"PK\x03\x04", "a zip archive (a Keras or PyTorch model?)"),
    (b"\x89HDF", "an HDF5 file (a Keras model?)"),
    (b"\x08", "perhaps an ONNX model"),
    (b"\0asm", "a WebAssembly module"),
    (b"version https://git-lfs", "a Git LFS pointer: fetch the file itself"),
)


def read_model(source: bytes | Path) -> Model:
    """Read a model from its bytes or its file.

    Raises:
        ModelError: not a model, or one that is damaged; says what and where.
    """
    if isinstance(source, Path):
        data, label = _load(source), f"{source}: "
    else:
        data, label = source, ""
    try:
        return _read(data)
    except ModelError as error:
        raise ModelError(label + error.message, remedy=error.remedy, details=error.details) from error


def _load(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ModelError(
            f"{path}: cannot be read: {error.strerror or error}", remedy="check the path and its permissions"
        ) from error
    if len(data) > MOST_BYTES:
        raise ModelError(f"{path}: is longer than {MOST_BYTES} bytes", remedy="TFLite models are at most 2 GiB")
    return data


def _read(data: bytes) -> Model:
    if data[4:8] != IDENTIFIER:
        looks = next((f"; it looks like {what}" for magic, what in _OTHER_FORMATS if data.startswith(magic)), "")
        raise ModelError(
            f"not a TFLite model: bytes 4 to 8 are not '{IDENTIFIER.decode()}'{looks}"
            if data
            else "not a TFLite model: the file is empty",
            remedy="give a .tflite file made by the TensorFlow Lite or LiteRT converter",
            details={"offset": min(4, len(data))},
        )
    file = Source(data, min(_MOST_UNITS, max(_LEAST_UNITS, len(data))))
    table = root(file, IDENTIFIER, "a TFLite model")
    version = table.scalar(0, "I", 0, "the version")
    if version != 3:
        raise ModelError(
            f"schema version {version} is not 3, the only one that interpreters read",
            remedy="convert the model again with a current converter",
        )
    buffers = [_buffer_bytes(t, file) for t in table.tables(4, "a buffer")]
    codes = tuple(_operator_code(t) for t in table.tables(1, "an operator code"))
    graphs = tuple(_subgraph(t, n, codes, buffers) for n, t in enumerate(table.tables(2, "a subgraph")))
    if not graphs:
        raise Damaged("the model has no subgraph", 0)
    metadata, min_runtime = _metadata(table, buffers, file)
    used = {t.buffer for graph in graphs for t in graph.tensors}
    return Model(
        version=version,
        description=table.text(3, "the description"),
        size_bytes=len(data),
        subgraphs=graphs,
        signatures=tuple(_signature(t, graphs) for t in table.tables(7, "a signature")),
        metadata=metadata,
        min_runtime_version=min_runtime,
        weights_bytes=sum(buffers[b][1] for b in used if b < len(buffers)),
        operator_codes=tuple(key for key, _ in codes),
    )


def _buffer_bytes(table: Table, file: Source) -> tuple[int, int]:
    """Where a buffer's data lies and how long it is; data of large models lies behind the flatbuffer."""
    place, count = table.vector_place(0, 1, "a buffer's data")
    if count:
        return place, count
    offset, size = table.scalar(1, "Q", 0, "a buffer's offset"), table.scalar(2, "Q", 0, "a buffer's size")
    if offset > 1 and size:
        file.check(offset, size, "a buffer's data")
        return offset, size
    return 0, 0


@cache
def _builtin_names() -> dict[int, str]:
    from tflite.BuiltinOperator import BuiltinOperator

    return {number: name for name, number in vars(BuiltinOperator).items() if isinstance(number, int)}


def _operator_code(table: Table) -> tuple[OperatorKey, int]:
    # Codes from 127 on do not fit the old byte field, which then holds 127: the larger one counts.
    builtin = max(table.scalar(0, "b", 0, "an operator's code"), table.scalar(3, "i", 0, "an operator's code"))
    if builtin < 0:
        raise Damaged(f"an operator has the code {builtin}", 0)
    version = table.scalar(2, "i", 1, "an operator's version")
    custom = table.text(1, "a custom operator's name")
    if builtin == _CUSTOM:
        return OperatorKey(custom, version, custom=True), builtin
    return OperatorKey(_builtin_names().get(builtin, f"BUILTIN {builtin}"), version, custom=False), builtin


def _subgraph(
    table: Table, number: int, codes: tuple[tuple[OperatorKey, int], ...], buffers: list[tuple[int, int]]
) -> Subgraph:
    name = table.text(4, "a subgraph's name")
    tensors = tuple(_tensor(t, index, buffers) for index, t in enumerate(table.tables(0, "a tensor")))
    where = f"subgraph {number}"
    return Subgraph(
        name=name,
        tensors=tensors,
        inputs=_indices(table, 1, len(tensors), f"the inputs of {where}", optional=False),
        outputs=_indices(table, 2, len(tensors), f"the outputs of {where}", optional=False),
        operators=tuple(
            _operator(t, f"operator {index} of {where}", codes, len(tensors))
            for index, t in enumerate(table.tables(3, "an operator"))
        ),
    )


def _tensor(table: Table, index: int, buffers: list[tuple[int, int]]) -> Tensor:
    what = f"tensor {index}"
    shape = table.numbers(0, "i", f"the shape of {what}")
    signature = table.numbers(7, "i", f"the shape of {what}") or shape
    for dimensions in (shape, signature):
        if len(dimensions) > _MOST_DIMENSIONS or any(d < -1 for d in dimensions):
            raise Damaged(f"the shape of {what} is not one", 0)
    number = table.scalar(1, "b", 0, f"the type of {what}")
    buffer = table.scalar(2, "I", 0, f"the buffer of {what}")
    if buffer >= len(buffers) and buffer:
        raise Damaged(f"{what} wants buffer {buffer} of {len(buffers)}", 0)
    return Tensor(
        index=index,
        name=(table.text(3, f"the name of {what}")),
        dtype=DTYPES[number] if 0 <= number < len(DTYPES) else f"type {number}",
        shape=shape,
        shape_signature=signature,
        quantization=_quantization(table, what),
        is_variable=bool(table.scalar(5, "B", 0, f"a flag of {what}")),
        buffer=buffer,
        buffer_bytes=buffers[buffer][1] if buffer < len(buffers) else 0,
    )


def _quantization(table: Table, what: str) -> Quantization | None:
    quantization = table.table(4, f"the quantization of {what}")
    if quantization is None:
        return None
    scales = quantization.floats(2, f"the scales of {what}")
    zero_points = quantization.numbers(3, "q", f"the zero points of {what}")
    if not scales:
        return None
    if len(zero_points) not in {0, 1, len(scales)}:
        raise Damaged(f"{what} has {len(scales)} scales and {len(zero_points)} zero points", 0)
    if len(zero_points) != len(scales):
        zero_points = (zero_points or (0,)) * len(scales)
    return Quantization(scales, zero_points, quantization.scalar(6, "i", 0, f"the quantized axis of {what}"))


def _operator(table: Table, what: str, codes: tuple[tuple[OperatorKey, int], ...], tensors: int) -> Operator:
    code = table.scalar(0, "I", 0, f"the code of {what}")
    if code >= len(codes):
        raise Damaged(f"{what} wants operator code {code} of {len(codes)}", 0)
    key, builtin = codes[code]
    return Operator(
        key=key,
        builtin=builtin,
        inputs=_indices(table, 1, tensors, f"the inputs of {what}", optional=True),
        outputs=_indices(table, 2, tensors, f"the outputs of {what}", optional=False),
        intermediates=_indices(table, 8, tensors, f"the intermediates of {what}", optional=True),
        custom_options_bytes=table.vector_place(5, 1, f"the options of {what}")[1],
    )


def _indices(table: Table, slot: int, tensors: int, what: str, *, optional: bool) -> tuple[int, ...]:
    numbers = table.numbers(slot, "i", what)
    for number in numbers:
        if not (0 <= number < tensors or (optional and number == _OPTIONAL)):
            raise Damaged(f"{what} name tensor {number} of {tensors}", 0)
    return numbers


def _signature(table: Table, graphs: tuple[Subgraph, ...]) -> Signature:
    key = table.text(2, "a signature's key")
    number = table.scalar(4, "I", 0, "a signature's subgraph")
    if number >= len(graphs):
        raise Damaged(f"signature '{key}' wants subgraph {number} of {len(graphs)}", 0)
    tensors = len(graphs[number].tensors)
    ends: list[tuple[SignatureEnd, ...]] = []
    for slot, what in ((0, "input"), (1, "output")):
        found = []
        for end in table.tables(slot, f"a signature's {what}"):
            index = end.scalar(1, "I", 0, f"a signature's {what}")
            if index >= tensors:
                raise Damaged(f"signature '{key}' names tensor {index} of {tensors}", 0)
            found.append(SignatureEnd((end.text(0, f"the name of a signature's {what}")), index))
        ends.append(tuple(found))
    return Signature(key, number, ends[0], ends[1])


def _metadata(table: Table, buffers: list[tuple[int, int]], file: Source) -> tuple[tuple[Metadata, ...], str]:
    found: list[Metadata] = []
    min_runtime = ""
    for entry in table.tables(6, "metadata"):
        name = entry.text(0, "the name of metadata")
        number = entry.scalar(1, "I", 0, f"the buffer of metadata '{name}'")
        if number >= len(buffers):
            raise Damaged(f"metadata '{name}' wants buffer {number} of {len(buffers)}", 0)
        place, size = buffers[number]
        found.append(Metadata(name, size))
        if name == "min_runtime_version":
            raw = bytes(file.data[place : place + min(size, 16)])
            min_runtime = raw.split(b"\0", 1)[0].decode("ascii", "replace")
    return tuple(found), min_runtime
