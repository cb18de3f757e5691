"""A model whose output's size is known only after it ran."""

from __future__ import annotations

from tests.support.killer_models import _graph, _model, _operator, _tensor


def where(size: int) -> bytes:
    """The positions of what is true. Input ``[size] bool``, output ``[?, 1] i64``."""
    from ai_edge_litert import schema_py_generated as schema

    kinds = schema.TensorType
    tensors = [_tensor("x", [size], kinds.BOOL), _tensor("y", [1, 1], kinds.INT64)]
    operator = _operator([0], [1], schema.BuiltinOptions.WhereOptions, schema.WhereOptionsT())
    return _model([schema.BuiltinOperator.WHERE], [_graph("main", tensors, [operator], [0], [1])], [schema.BufferT()])
