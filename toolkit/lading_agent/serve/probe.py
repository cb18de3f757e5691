"""Running probe guests: small modules of the client's, each in a process of its own, nothing of it kept.

The modules lie in a scratch folder that goes with the request: store, releases and lock are left alone.
"""

from __future__ import annotations

import base64
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Tuple

from lading_agent.errors import AgentError
from lading_agent.runs import supervise
from lading_agent.runs.spec import Limits, ModelSpec, RunSpec
from lading_agent.serve.runtimes import OWN, acted, require

if TYPE_CHECKING:
    from lading_agent.runs.program import Program
    from lading_agent.runs.result import RunResult
    from lading_agent.serve.device import Served
    from lading_agent.serve.exchange import Exchange

MOST_GUESTS = 1024
MOST_BYTES = 16 * 1024 * 1024
"""All guests and models of a request together."""
OUTPUT_BYTES = 64 * 1024
TIME_S = 30.0
MOST_AT_ONCE = 4


@dataclass(frozen=True)
class _Piece:
    """A file that the client sends."""

    name: str
    size: int


def probe(served: Served, exchange: Exchange) -> Dict[str, Any]:
    """Answer the request ``probe``: a ``guest`` event for each guest as it ends, in whatever order they do."""
    guests = _pieces(exchange, "guests")
    models = _pieces(exchange, "models")
    at_once = exchange.fields.integer("at_once", 1, low=1, high=MOST_AT_ONCE)
    time_s = exchange.fields.optional_seconds("timeout_s") or TIME_S
    runtime = exchange.fields.optional_text("runtime") or OWN
    program = None if acted(served, runtime) else require(served, runtime)
    if sum(piece.size for piece in (*guests, *models)) > MOST_BYTES:
        raise AgentError("usage", f"a probe may send {MOST_BYTES} bytes in all", "ask for fewer guests at once")
    with tempfile.TemporaryDirectory(prefix="lading-probe-") as folder:
        scratch = Path(folder)
        modules = [scratch / f"{number}.wasm" for number in range(len(guests))]
        files = [scratch / f"{number}.model" for number in range(len(models))]
        for piece, path in zip((*guests, *models), (*modules, *files)):
            path.write_bytes(exchange.receive_bytes(piece.size))
        named = tuple(ModelSpec(name=piece.name, path=str(path)) for piece, path in zip(models, files))
        own = replace(program, links=str(scratch / "links")) if program is not None else None
        jobs = [_spec(served, path, named, time_s, own) for path in modules]
        from concurrent.futures import ThreadPoolExecutor  # takes its time to load, and probes are rare

        with ThreadPoolExecutor(at_once, thread_name_prefix="probe") as pool:
            list(pool.map(lambda job: _one(served, exchange, *job), enumerate(jobs)))
        exchange.check()
    return {"guests": len(guests)}


def _pieces(exchange: Exchange, key: str) -> List[_Piece]:
    """The list of what is sent; each with a name and a size in bytes."""
    found = exchange.fields.raw(key)
    if not isinstance(found, list) or len(found) > MOST_GUESTS:
        raise AgentError("usage", f"the request's {key!r} is not a list of at most {MOST_GUESTS}", "update lading")
    pieces: List[_Piece] = []
    for item in found:
        fields = item if isinstance(item, Mapping) else {}
        name, size = fields.get("name"), fields.get("size")
        if not isinstance(name, str) or not isinstance(size, int) or isinstance(size, bool) or not size >= 0:
            raise AgentError("usage", f"the request's {key!r} has an entry without name and size", "update lading")
        pieces.append(_Piece(name, size))
    return pieces


def _spec(
    served: Served, module: Path, models: Tuple[ModelSpec, ...], time_s: float, program: Optional[Program]
) -> RunSpec:
    known = Limits.__dataclass_fields__
    given = dict(served.profile.get("limits") or {})
    limits = Limits(**{key: value for key, value in given.items() if key in known and value is not None})
    memory = [m for m in (limits.memory_bytes, served.run_memory_bytes) if m is not None]
    backend = served.profile.get("backend")
    return RunSpec(
        module=str(module),
        personality=served.profile,
        models=models,
        limits=replace(limits, time_s=time_s, output_bytes=OUTPUT_BYTES, memory_bytes=min(memory) if memory else None),
        backend=backend if isinstance(backend, str) else "litert",
        program=program.to_json() if program is not None else {},
    )


def _one(served: Served, exchange: Exchange, number: int, spec: RunSpec) -> None:
    if exchange.cancelled:
        return
    output = bytearray()
    result: RunResult = supervise.run(
        spec,
        on_stdout=output.extend,
        on_stderr=lambda _data: None,
        on_report=lambda _event: None,
        should_stop=lambda: exchange.cancelled,
        command=served.runner,
    )
    if exchange.cancelled:
        return
    exchange.event(
        "guest",
        index=number,
        outcome=result.outcome,
        status=result.status,
        kind=result.kind,
        message=result.message,
        remedy=result.remedy,
        runtime=str(result.metrics.get("runtime", "")),
        output=base64.b64encode(bytes(output)).decode("ascii"),
    )
