"""The contract between whoever starts a run and the runner process that hosts the guest.

A runner is any program that takes ``--spec FD --report FD --phase FD --log FD``: it reads one :class:`RunSpec` as JSON
from the first file descriptor, writes :mod:`report <lading_agent.runs.report>` lines to the second, keeps its current
phase in the first byte of the third and what its interpreter says on its own standard error in the fourth, and leaves
standard input, output and error to the guest. It dies with the process that started it. The Python host
(``lading_agent.nn.process``) is one.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Tuple

SPEC_SCHEMA = 1

MIB = 1024 * 1024

MOST_THREADS = 1024
"""A run that asks for more interpreter threads is refused (kind ``too-many-threads``)."""


@dataclass(frozen=True)
class Limits:
    """What a run may use. Bytes are octets, times are seconds; ``None`` means no limit."""

    time_s: Optional[float] = 600.0
    memory_bytes: Optional[int] = None
    """Guest memory and interpreter data together (private data of the runner process beyond its own start-up)."""
    output_bytes: int = 64 * MIB
    """Guest standard output and error together."""
    graphs: int = 64
    contexts: int = 64
    model_bytes: int = 256 * MIB


@dataclass(frozen=True)
class ModelSpec:
    """A model that the guest may load by name, or whose bytes it may hand over itself."""

    name: str
    path: str
    """The model's file, on the machine where the runner runs."""
    version: str = ""
    encoding: str = "tensorflowlite"
    target: str = "cpu"
    int8: str = "as-u8"
    """``as-u8`` or ``quantize-f32``: how a guest meets int8 tensors."""
    state: Mapping[str, str] = field(default_factory=dict)
    """Output tensor name to the input tensor name that it feeds on the next ``compute_single``."""


@dataclass(frozen=True)
class DirSpec:
    """A directory opened for the guest before it starts."""

    host: str
    guest: str
    writable: bool = False


@dataclass(frozen=True)
class TensorFile:
    """A tensor in a file: raw little-endian bytes, C order."""

    tensor: str
    """The tensor's name in the model's signature (or graph)."""
    dtype: str
    """numpy's name: ``float32``, ``int8``, ``uint8``, …"""
    shape: Tuple[int, ...]
    path: str


@dataclass(frozen=True)
class GoldenSpec:
    """One golden vector: inputs of a bare model, the outputs expected, and how far they may be apart."""

    model: str
    """A name among :attr:`RunSpec.models`."""
    inputs: Tuple[TensorFile, ...]
    outputs: Tuple[TensorFile, ...]
    tolerance: int = 1
    """Quantization steps, for integer outputs."""
    atol: float = 1e-5
    rtol: float = 1e-4


@dataclass(frozen=True)
class RunSpec:
    """Everything that a runner needs to know about one run: a guest's, or (with ``golden``) golden vectors only."""

    module: str
    """The module's file; empty when only golden vectors are compared."""
    personality: Mapping[str, Any]
    """The resolved firmware profile, as ``Personality.from_json`` reads it."""
    args: Tuple[str, ...] = ()
    """Guest arguments after the program name (which is the module's file name)."""
    env: Mapping[str, str] = field(default_factory=dict)
    dirs: Tuple[DirSpec, ...] = ()
    models: Tuple[ModelSpec, ...] = ()
    limits: Limits = field(default_factory=Limits)
    threads: int = 1
    """Interpreter threads, at most :data:`MOST_THREADS`; 0 means all cores."""
    backend: str = "litert"
    """``litert``, ``tflite-runtime`` or ``none`` (a host without any backend)."""
    golden: Tuple[GoldenSpec, ...] = ()
    names_dir: str = ""
    """A folder for models that a guest names by path, where the personality's host takes names for paths; empty: only
    the directories opened for the guest."""
    module_digest: str = ""
    """``sha256:…`` of the module's file, where it is known: its compiled code is then kept and found by it."""
    engines: Mapping[str, str] = field(default_factory=dict)
    """Versions of the native runner's engines that the app asks for, by name; of others, whatever is there."""
    program: Mapping[str, Any] = field(default_factory=dict)
    """The device's own runtime that is to run the guest (see :mod:`lading_agent.runs.program`); empty: lading's."""
    trace: Mapping[str, Any] = field(default_factory=dict)
    """Whether wasi-nn calls are told, and how: see :mod:`lading_agent.nn.observed`; empty: they are not."""

    def to_json(self) -> Dict[str, Any]:
        """A JSON-ready document with its schema number."""
        return {"schema": SPEC_SCHEMA, **asdict(self)}

    def encode(self) -> bytes:
        """The document as UTF-8 JSON."""
        return json.dumps(self.to_json(), separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, doc: Mapping[str, Any]) -> RunSpec:
        """Read a document written by :meth:`to_json`.

        Raises:
            ValueError: the schema number is not ours. The document comes from our own agent: it is trusted otherwise.
        """
        if doc.get("schema") != SPEC_SCHEMA:
            raise ValueError(f"run spec schema {doc.get('schema')!r} is not {SPEC_SCHEMA}: update the runner")
        return cls(
            module=doc["module"],
            personality=doc["personality"],
            args=tuple(doc["args"]),
            env=dict(doc["env"]),
            dirs=tuple(DirSpec(**d) for d in doc["dirs"]),
            models=tuple(ModelSpec(**m) for m in doc["models"]),
            limits=Limits(**doc["limits"]),
            threads=doc["threads"],
            backend=doc["backend"],
            golden=tuple(_golden(g) for g in doc["golden"]),
            names_dir=doc.get("names_dir", ""),
            module_digest=doc.get("module_digest", ""),
            engines=dict(doc.get("engines", {})),
            program=dict(doc.get("program", {})),
            trace=dict(doc.get("trace", {})),
        )


def _golden(doc: Mapping[str, Any]) -> GoldenSpec:
    def files(items: List[Dict[str, Any]]) -> Tuple[TensorFile, ...]:
        return tuple(TensorFile(i["tensor"], i["dtype"], tuple(i["shape"]), i["path"]) for i in items)

    return GoldenSpec(
        model=doc["model"],
        inputs=files(doc["inputs"]),
        outputs=files(doc["outputs"]),
        tolerance=doc["tolerance"],
        atol=doc["atol"],
        rtol=doc["rtol"],
    )
