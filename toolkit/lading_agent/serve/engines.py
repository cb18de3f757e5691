"""Engines come to the device: their content, an inference that proves them, then the default set.

The request ``engines`` has the actions ``list``, ``install``, ``ready`` and ``rollback``.
"""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Tuple

from lading_agent.engines.identity import Identities
from lading_agent.engines.parts import RUNNER, EngineMissing
from lading_agent.engines.stored import NAMES, Part, PartSet, StoredEngines
from lading_agent.errors import AgentError
from lading_agent.runs import supervise
from lading_agent.runs.native import NativeRunner
from lading_agent.runs.spec import Limits, ModelSpec, RunSpec
from lading_agent.serve.receiving import receive
from lading_agent.store import collect, space
from lading_agent.store.blobs import missing
from lading_agent.store.durable import make_dirs, replace_json
from lading_agent.store.lock import locked
from lading_agent.store.ready import mark_ready

if TYPE_CHECKING:
    from pathlib import Path

    from lading_agent.runs.result import RunResult
    from lading_agent.serve.device import Served
    from lading_agent.serve.exchange import Exchange
    from lading_agent.store.layout import Layout

MOST_CHECK_BYTES = 1024 * 1024
CHECK_TIME_S = 60.0
CHECK_MODEL = "check"
INTENT = "+engines.intent"
"""No app can have that name."""
_RUNNABLE = 0o555


def engines(served: Served, exchange: Exchange) -> Dict[str, Any]:
    """Answer the request ``engines``."""
    action = exchange.fields.text("action", limit=32)
    if action == "list":
        return _state(served.layout)
    if action == "install":
        return _install(served, exchange)
    if action == "ready":  # a device without engines of its own
        with locked(served.layout.lock, exchange.owner, "installation of the agent"):
            mark_ready(served.layout, exchange.fields.text("ready"))
        return _state(served.layout)
    if action == "rollback":
        with locked(served.layout.lock, exchange.owner, "rollback of the engines"):
            StoredEngines(served.layout).roll_back()
        return _state(served.layout)
    raise AgentError("usage", f"the request engines has no action {action!r}", "update the agent on the device")


def _state(layout: Layout) -> Dict[str, Any]:
    stored = StoredEngines(layout)

    def listed(parts: Any) -> Any:
        return None if parts is None else [part.to_json() for part in parts.values()]

    return {
        "parts": [part.to_json() for part in stored.parts()],
        "current": listed(stored.default()),
        "previous": listed(stored.previous()),
    }


def _install(served: Served, exchange: Exchange) -> Dict[str, Any]:
    """Take a set of parts. The old set stays the default unless the new one is whole and infers right.

    With ``beside`` it stays the default anyhow: the new parts are there for apps that ask for their versions.
    """
    fields, layout = exchange.fields, served.layout
    parts = _parts(fields.raw("parts"))
    distrust = fields.flag("distrust")
    beside = fields.flag("beside")
    ready = fields.optional_text("ready")
    sizes = [fields.integer(f"{name}_size", high=MOST_CHECK_BYTES) for name in ("module", "model", "expected")]
    module, model, expected = (exchange.receive_bytes(size) for size in sizes)
    blobs = dict(sorted({digest: size for part in parts.values() for digest, size in part.blobs.items()}.items()))
    with locked(layout.lock, exchange.owner, "installation of engines"):
        collect.sweep(layout)
        _drop_damaged(layout, blobs)
        wanted = missing(layout, blobs, distrust=distrust)
        _check_space(served, sum(size - offset for _, size, offset in wanted), len(wanted) + 2 * len(parts), blobs)
        replace_json(layout.staging / INTENT, {"blobs": blobs}, layout.scratch())
        receive(layout, served.steps, exchange, blobs, wanted, "engine")
        stored = StoredEngines(layout)
        layout.blob(parts[RUNNER].library[0]).chmod(_RUNNABLE)
        exchange.event("check")
        result = _check(served, exchange, parts, module, model, expected)
        stored.record(parts, default=not beside or stored.default() is None)
        (layout.staging / INTENT).unlink()
        # What came beside the default set is for an app that is still to come: nothing names it yet.
        forgotten = [] if beside else stored.forget(collect.engines_wanted(layout))
        gone = collect.drop_unneeded(layout)
        if ready is not None:
            mark_ready(layout, ready)
    return {
        **_state(layout),
        "sent_blobs": len(wanted),
        "sent_bytes": sum(size - offset for _, size, offset in wanted),
        "resumed_bytes": sum(offset for _, _, offset in wanted),
        "forgotten": [f"{part.name} {part.version}" for part in forgotten],
        "collected": gone.to_json(),
        "metrics": dict(result.metrics),
    }


def _parts(docs: Any) -> PartSet:
    try:
        found: List[Part] = [Part.from_json(doc) for doc in docs] if isinstance(docs, list) else []
    except ValueError as error:
        raise AgentError("usage", f"the engines to install: {error}", "update lading on both sides") from error
    parts = {part.name: part for part in found}
    if len(found) != len(parts) or set(parts) != set(NAMES):
        raise AgentError("usage", f"a set of engines is one each of {', '.join(NAMES)}", "update lading on both sides")
    return parts


def _drop_damaged(layout: Layout, blobs: Mapping[str, int]) -> None:
    """Throw away what is not what its name says; files that did not change since they were read last are not read."""
    identities = Identities(layout.cache)
    for digest in blobs:
        path = layout.blob(digest)
        with contextlib.suppress(FileNotFoundError):
            if identities.digest(path) != digest:
                identities.forget(path)
                path.unlink()


def _check_space(served: Served, need: int, inodes: int, blobs: Mapping[str, int]) -> None:
    layout = served.layout
    try:
        space.require(space.measure(layout.home, served.storage_bytes), need, inodes, "the engines need")
    except AgentError:
        collect.drop_unneeded(layout, intents=False, also=blobs)
        space.require(space.measure(layout.home, served.storage_bytes), need, inodes, "the engines need")


def _check(
    served: Served, exchange: Exchange, parts: PartSet, module: bytes, model: bytes, expected: bytes
) -> RunResult:
    """Run a small guest with a small model on the new engines: what it writes must be ``expected``."""
    scratch = served.layout.scratch()
    make_dirs(scratch)
    try:
        spec = _check_spec(served, scratch, module, model)
        output, errors = bytearray(), bytearray()
        try:
            command = NativeRunner(StoredEngines(served.layout).files(parts))
        except EngineMissing as error:
            raise AgentError("engine-failed", str(error), "try again") from error
        result = supervise.run(
            spec,
            on_stdout=output.extend,
            on_stderr=errors.extend,
            on_report=lambda _event: None,
            should_stop=lambda: exchange.cancelled,
            command=command,
        )
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    exchange.check()
    if result.kind == "exit" and result.status == 0 and bytes(output) == expected:
        return result
    what = f"it ended with {result.kind} {result.status}: {result.message}" if result.status else "its answer is wrong"
    raise AgentError(
        "engine-failed",
        f"the engines do not work on this device ({_named(parts)}): a small inference was tried, and {what}".rstrip(),
        result.remedy or "see what the device's processor and system libraries are: lading probe DEVICE",
        {"kind": result.kind, "status": result.status, "output": output.hex()[:200], "stderr": _tail(errors)},
    )


def _check_spec(served: Served, scratch: Path, module: bytes, model: bytes) -> RunSpec:
    guest, model_file = scratch / "check.wasm", scratch / "check.tflite"
    guest.write_bytes(module)
    model_file.write_bytes(model)
    return RunSpec(
        module=str(guest),
        personality=served.profile,
        models=(ModelSpec(name=CHECK_MODEL, path=str(model_file)),),
        limits=replace(Limits(), time_s=CHECK_TIME_S, output_bytes=MOST_CHECK_BYTES),
    )


def _named(parts: PartSet) -> str:
    told: Tuple[str, ...] = tuple(f"{part.name} {part.version}" for part in parts.values())
    return ", ".join(told)


def _tail(data: bytearray) -> str:
    return bytes(data[-2000:]).decode("utf-8", "replace")
