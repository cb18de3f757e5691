"""What a module and a model need, read from their bytes without running them: JSON-ready, part of every trace."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from lading.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lading.wasm.module import Import, Module


def module_needs(path: Path) -> dict[str, Any]:
    """Imports, features, memory and kind of a module.

    Raises:
        ModuleError: it cannot be read, or is malformed.
    """
    from lading.wasm import read_module

    data = path.read_bytes()
    module = read_module(data)
    return {
        "file": path.name,
        "digest": f"sha256:{hashlib.sha256(data).hexdigest()}",
        "size": len(data),
        "kind": module.kind,
        "wasi": module.wasi,
        "nn_modules": module.nn_modules,
        "imports": [_import(i) for i in module.imports],
        "component_imports": module.component_imports,
        "features": {name: {"where": use.where, "offset": use.offset} for name, use in sorted(module.features.items())},
        "memory": _memory(module),
        "memory_bytes": module.memory_bytes,
        "start": any(e.name == "_start" and e.kind == "func" for e in module.exports),
        "producers": [" ".join(p).strip() for p in module.producers],
    }


def _import(wanted: Import) -> dict[str, Any]:
    from lading.wasm.module import FuncType

    doc: dict[str, Any] = {"module": wanted.module, "name": wanted.name, "kind": wanted.kind}
    if wanted.kind == "func" and isinstance(wanted.type, FuncType):
        doc["params"] = list(wanted.type.params)
        doc["results"] = list(wanted.type.results)
    return doc


def _memory(module: Module) -> dict[str, Any] | None:
    """The memory that hosts read arguments from."""
    memory = module.memory
    if memory is None:
        return None
    return {
        "bytes": memory.minimum * memory.page_bytes,
        "most_bytes": None if memory.maximum is None else memory.maximum * memory.page_bytes,
        "shared": memory.shared,
        "is64": memory.is64,
    }


def model_needs(data: bytes) -> dict[str, Any]:
    """Tensors, operators with versions, signatures and memory of a model; with ``error`` where it cannot be read."""
    from lading.tflite import estimate_memory, read_model
    from lading.tflite.memory import MICRO_ALIGNMENT

    try:
        model = read_model(data)
        memory, micro = estimate_memory(model), estimate_memory(model, alignment=MICRO_ALIGNMENT)
    except ModelError as error:
        return {"error": error.message}
    main = model.main
    return {
        "error": "",
        "operators": [
            {"name": key.name, "version": key.version, "custom": key.custom, "count": count}
            for key, count in model.operators.items()
        ],
        "custom_operators": list(model.custom_operators),
        "flex_operators": list(model.flex_operators),
        "dynamic": model.is_dynamic,
        "inputs": [_tensor(t) for t in main.input_tensors],
        "outputs": [_tensor(t) for t in main.output_tensors],
        "types": sorted({t.dtype for t in main.tensors}),
        "signatures": [
            {"key": s.key, "inputs": [e.name for e in s.inputs], "outputs": [e.name for e in s.outputs]}
            for s in model.signatures
        ],
        "min_runtime_version": model.min_runtime_version,
        "weights_bytes": memory.weights_bytes,
        "arena_bytes": memory.arena_bytes,
        "micro_arena_bytes": micro.arena_bytes,
        "arena_is_lower_bound": memory.is_lower_bound,
    }


def _tensor(tensor: Any) -> Mapping[str, Any]:
    quantization = tensor.quantization
    return {
        "name": tensor.name,
        "dtype": tensor.dtype,
        "shape": list(tensor.shape),
        "shape_signature": list(tensor.shape_signature),
        "quantization": None
        if quantization is None
        else {
            "per_channel": quantization.per_channel,
            "scale": _number(quantization.scales[0]) if quantization.scales else None,
            "zero_point": quantization.zero_points[0] if quantization.zero_points else None,
        },
    }


def _number(value: float) -> float | str:
    import math

    return value if math.isfinite(value) else repr(value)
