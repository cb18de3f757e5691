"""A float model as the quantizer wants it: with a signature, operators by their new codes, weights in f32.

None of this changes what the model computes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.variants.models import opened as at
from lading.variants.models.graft import write
from lading.variants.models.graph import DEQUANTIZE, Graph
from lading.variants.models.opened import Opened
from lading.variants.models.tables import Front, joined

if TYPE_CHECKING:
    from lading.tflite.model import Tensor


def prepared(model: bytes) -> bytes:
    """A model that a quantizer understands."""
    return with_f32_weights(with_codes(with_signature(model)))


def with_signature(model: bytes) -> bytes:
    """A model that has a signature: its tensors under their own names, where it has none."""
    opened = Opened(model)
    main = opened.facts.main
    if opened.facts.signatures:
        return model

    def build(moved: int) -> bytes:
        front = Front(opened, moved)

        def ends(tensors: tuple[Tensor, ...]) -> int:
            maps = []
            for tensor in tensors:
                name = front.text(tensor.name)
                maps.append(front.new("TensorMap", {at.MAP_NAME: name, at.MAP_TENSOR: tensor.index}))
            return front.vector(maps)

        inputs, outputs, key = ends(main.input_tensors), ends(main.output_tensors), front.text("serving_default")
        signature = front.new(
            "SignatureDef", {at.SIGNATURE_INPUTS: inputs, at.SIGNATURE_OUTPUTS: outputs, at.SIGNATURE_KEY: key}
        )
        return front.finish({at.MODEL_SIGNATURES: front.vector([signature])})

    return bytes(joined(opened, build))


def with_codes(model: bytes) -> bytes:
    """A model whose operators are named by the field that the schema has for them now.

    Converters before TensorFlow 2.4 wrote the old one alone, and who reads the new one sees nothing but ADD.
    """
    opened = Opened(model)
    tables = [
        opened.table(opened.root, at.MODEL_CODES, n, "an operator code")
        for n in range(len(opened.facts.operator_codes))
    ]
    old = {n: t.scalar(at.CODE_DEPRECATED, "b", 0, "an operator's code") for n, t in enumerate(tables)}
    behind = {n: code for n, code in old.items() if tables[n].scalar(at.CODE_BUILTIN, "i", 0, "a code") < code}
    if not behind:
        return model

    def build(moved: int) -> bytes:
        front = Front(opened, moved)
        codes = front.old(opened.root, at.MODEL_CODES)
        for number, code in behind.items():
            codes[number] = front.copy(tables[number], "OperatorCode", {at.CODE_BUILTIN: code})
        return front.finish({at.MODEL_CODES: front.vector(codes)})

    return bytes(joined(opened, build))


def with_f32_weights(model: bytes) -> bytes:
    """A model whose float16 weights, which operators turn into f32 one by one as it runs, are f32 from the start."""
    import numpy as np

    opened = Opened(model)
    graph = Graph(opened)
    tensors = opened.facts.main.tensors
    replaced: set[int] = set()
    for step in list(graph.steps):
        half = step.source if step.kind == DEQUANTIZE else None
        if half is None or half.origin is None or not half.constant or half.dtype != "float16":
            continue
        whole = step.outputs[0]
        raw = opened.constant(half.origin)
        ends = any(graph.is_input(v) or graph.is_output(v) for v in (half, whole))
        if ends or len(raw) != 2 * tensors[half.origin].elements:
            continue
        whole.data, whole.changed = np.frombuffer(raw, "<f2").astype("<f4").tobytes(), True
        graph.steps = [s for s in graph.steps if s is not step]
        if not graph.users(half) and not graph.is_output(half):
            graph.values = [v for v in graph.values if v is not half]
            replaced.add(tensors[half.origin].buffer)
    left = {id(v) for v in graph.values}
    if all(v.data is None for v in graph.values) or any(id(v) not in left for v in graph.named()):
        return model
    others = {t.buffer for g in opened.facts.subgraphs[1:] for t in g.tensors}
    kept = {tensors[v.origin].buffer for v in graph.values if v.origin is not None and v.data is None}
    graph.freed = replaced - others - kept - _metadata_buffers(opened)
    return write(graph)


def _metadata_buffers(opened: Opened) -> set[int]:
    tables = [opened.table(opened.root, at.MODEL_METADATA, n, "metadata") for n in range(len(opened.facts.metadata))]
    return {table.scalar(1, "I", 0, "the buffer of metadata") for table in tables}
