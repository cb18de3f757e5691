"""What a recorder writes down: each model once, each call that is unlike those before, how often the others came."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Tuple

from lading_agent.nn.tracedoc import call_to_json, facts_to_json

if TYPE_CHECKING:
    from lading_agent.nn.calls import Call
    from lading_agent.nn.models import HeldModel, Models
    from lading_agent.nn.reporting import Report
    from lading_agent.nn.state import GraphState

MOST_CALLS = 4096
"""Calls that are written down; a guest that makes more different ones has an incomplete trace."""


class Minutes:
    """The written record of one traced guest."""

    def __init__(self, models: Models, errno: Mapping[str, int], report: Report, keep: str = "") -> None:
        """Begin a record.

        Args:
            models: the run's models.
            errno: numbers of the answers.
            report: where calls and models are told.
            keep: a folder that gets each model's bytes, named after their digest.
        """
        self._models = models
        self._errno = errno
        self._report = report
        self._keep = keep
        self._told: Dict[int, Tuple[HeldModel, str]] = {}
        self._seen: Dict[str, List[int]] = {}
        self._version = 0
        self._n = 0
        self._written = 0

    def begin_call(self) -> None:
        """Count one more call."""
        self._n += 1

    def changed(self) -> None:
        """What the guest has set up is no longer the same: calls like those before count as new ones."""
        self._version += 1

    def finish(self) -> None:
        """Tell how often calls were repeated."""
        repeats = [[n, times] for n, times in self._seen.values() if times > 1]
        self._report.event("repeats", calls=self._n, written=self._written, repeats=repeats)

    def call(
        self,
        module: str,
        layout: str,
        call: Call,
        answer: str,
        step: Dict[str, Any],
        writes: List[Tuple[str, int]],
    ) -> None:
        """Write a call down, unless it changed nothing and was made before.

        Args:
            module: the import module.
            layout: its memory layout; empty where the call is not one that is known.
            call: what the guest asked.
            answer: what it was told.
            step: what the recorder found out.
            writes: handles and sizes that the guest was given.
        """
        doc: Dict[str, Any] = {
            "module": module,
            "function": call.function,
            "layout": layout or None,
            "outcome": answer,
            "errno": self._errno.get(answer, 1),
            "writes": dict(writes),
            "readable": {what: call.readable(what) for what in call.ranges},
            **step,
            "call": call_to_json(call),
        }
        key = f"{self._version} {json.dumps({**doc, 'call': _alike(call)}, sort_keys=True)}"
        seen = self._seen.get(key)
        if seen is not None:
            seen[1] += 1
            return
        if self._written >= MOST_CALLS:
            return
        self._written += 1
        self._seen[key] = [self._n, 1]
        self._report.event("call", n=self._n, **doc)

    def tell(self, graph: GraphState, strict: str = "") -> str:
        """The model's name in the trace; ``strict`` is that of the same bytes read with care."""
        held: HeldModel = graph.model
        known = self._told.get(id(held))
        if known is not None:
            return known[1]
        spec = held.spec
        if strict:
            digest, name = strict.partition("#")[0], f"{strict}#as-read"
        else:
            content = self._models.content(held)
            digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
            if self._keep:
                Path(self._keep, digest.partition(":")[2]).write_bytes(content)
            name = digest + (f"#{spec.name}@{spec.version}" if spec is not None else "")
        new = all(name != told for _, told in self._told.values())
        self._told[id(held)] = (held, name)
        if new:
            self._report.event(
                "model",
                id=name,
                digest=digest,
                size=graph.facts.size,
                called=spec.name if spec is not None else None,
                version=spec.version if spec is not None else "",
                encoding=spec.encoding if spec is not None else None,
                target=spec.target if spec is not None else None,
                int8=graph.int8,
                state=dict(graph.state),
                facts=facts_to_json(graph.facts),
            )
        return name

    def accept(
        self, graph: Optional[GraphState], step: Dict[str, Any], key: str, strict: str = ""
    ) -> Optional[GraphState]:
        """Tell a model; the graph, when some host takes it."""
        if graph is None:
            step[key] = None
            return None
        step[key] = self.tell(graph, strict)
        return graph if graph.facts.identifier or not graph.facts.error else None


_PLAIN = (
    "graph",
    "context",
    "index",
    "capacity",
    "encoding",
    "target",
    "builder-count",
    "name-length",
    "config-length",
)
"""Parameters that are no pointers."""

_FAR = 4096


def _alike(call: Call) -> Dict[str, Any]:
    """A call without what no host looks at: where in memory a piece lies, unless it is near the end."""
    doc = call_to_json(call)
    doc.pop("memory_size", None)
    doc["args"] = {name: value for name, value in call.args.items() if name in _PLAIN}
    doc["ranges"] = {
        what: [length if at + 5 * length + _FAR <= call.memory_size else at, length]
        for what, (at, length) in call.ranges.items()
    }
    return doc
