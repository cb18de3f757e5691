"""A trace, in memory and as JSON (``lading.trace/1``)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from lading.errors import InputError
from lading_agent.nn.tracedoc import BadTrace, call_from_json, call_to_json, facts_from_json, facts_to_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lading.trace.numbering import Numbering
    from lading_agent.nn.calls import Call
    from lading_agent.nn.facts import ModelFacts

SCHEMA: Final = "lading.trace/1"
MAJOR: Final = 1

_KEYS: Final = frozenset(
    ("schema", "subject", "module", "args", "models", "calls", "numbering", "end", "memory_bytes", "call_count",
     "complete", "missing_env", "engine")
)  # fmt: skip
_CALL_KEYS: Final = frozenset(
    ("n", "times", "module", "function", "layout", "outcome", "errno", "writes", "readable", "model", "loose", "named",
     "files", "prepare", "understood", "interpreter", "output_bytes", "given", "fixed", "call")
)  # fmt: skip


class TraceError(InputError):
    """A trace that cannot be read."""

    code = "trace"


@dataclass(frozen=True)
class TracedModel:
    """A model that the guest loaded, or tried to."""

    id: str
    """Its digest; models by name have the name behind it, bytes taken unverified ``#as-read``."""
    digest: str
    size: int
    facts: ModelFacts
    needs: Mapping[str, Any] = field(default_factory=dict)
    name: str | None = None
    """The name that it is known by; None for one that the guest brought along."""
    version: str = ""
    encoding: str | None = None
    target: str | None = None
    int8: str = "as-u8"
    state: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What people call it."""
        return f"model '{self.name}'" if self.name else f"the model of {self.size} bytes"

    def to_json(self) -> dict[str, Any]:
        """The model as it stands in a trace."""
        return {
            "id": self.id,
            "digest": self.digest,
            "size": self.size,
            "name": self.name,
            "version": self.version,
            "encoding": self.encoding,
            "target": self.target,
            "int8": self.int8,
            "state": dict(self.state),
            "facts": facts_to_json(self.facts),
            "needs": dict(self.needs),
        }

    @classmethod
    def from_json(cls, doc: Mapping[str, Any]) -> TracedModel:
        """Read what :meth:`to_json` wrote."""
        return cls(**{**doc, "facts": facts_from_json(doc["facts"])})


@dataclass(frozen=True)
class TracedCall:
    """One wasi-nn call, and what the guest saw of it."""

    n: int
    """Its place among all calls of the guest; the first is 1."""
    module: str
    function: str
    layout: str | None
    """Memory layout of its arguments; None for a function that wasi-nn does not have, or has with another type."""
    call: Call
    outcome: str
    errno: int
    writes: Mapping[str, int] = field(default_factory=dict)
    """Numbers that were written to the guest's memory, by the piece that they went to."""
    times: int = 1
    """How often it was made, with nothing changed in between."""
    told: Mapping[str, Any] = field(default_factory=dict)
    """What the host learnt while it answered: the model, the interpreter's word, an output's size …"""

    @property
    def model(self) -> str | None:
        """The id of the model that it is about."""
        files = (told.get("model") for told in self.told.get("files", {}).values())
        found = self.told.get("model") or self.told.get("named") or next(files, None)
        return str(found) if found else None

    def to_json(self) -> dict[str, Any]:
        """The call as it stands in a trace."""
        return {
            "n": self.n,
            "times": self.times,
            "module": self.module,
            "function": self.function,
            "layout": self.layout,
            "outcome": self.outcome,
            "errno": self.errno,
            "writes": dict(self.writes),
            **self.told,
            "call": call_to_json(self.call),
        }

    @classmethod
    def from_json(cls, doc: Mapping[str, Any]) -> TracedCall:
        """Read what :meth:`to_json` wrote."""
        own = ("n", "times", "module", "function", "layout", "outcome", "errno", "writes")
        unknown = [k for k in doc if k not in _CALL_KEYS and not k.startswith("x-")]
        if unknown:
            raise BadTrace(f"a call has the unknown key {unknown[0]!r}")
        told = {k: v for k, v in doc.items() if k not in own and k != "call"}
        return cls(**{k: doc[k] for k in own if k in doc}, call=call_from_json(doc["call"]), told=told)


@dataclass(frozen=True)
class End:
    """How the traced run ended."""

    outcome: str
    status: int
    kind: str
    message: str = ""

    @property
    def by_itself(self) -> bool:
        """The guest ended, and nothing ended it."""
        return self.outcome == "exit"


@dataclass(frozen=True)
class Trace:
    """Everything that a check needs to know about a guest."""

    subject: str
    module: Mapping[str, Any]
    """See :func:`lading.trace.needs.module_needs`."""
    args: tuple[str, ...]
    models: Mapping[str, TracedModel]
    calls: tuple[TracedCall, ...]
    numbering: Numbering
    end: End
    memory_bytes: int = 0
    """Guest memory when it ended."""
    call_count: int = 0
    complete: bool = True
    """Whether every different call is in it."""
    missing_env: tuple[str, ...] = ()
    engine: str = ""

    @property
    def got_output(self) -> bool:
        """Whether the guest read an output."""
        return any(c.outcome == "success" and c.function.startswith("get_output") for c in self.calls)

    def to_json(self) -> dict[str, Any]:
        """The document, with its schema."""
        return {
            "schema": SCHEMA,
            "subject": self.subject,
            "module": dict(self.module),
            "args": list(self.args),
            "models": [m.to_json() for m in self.models.values()],
            "numbering": self.numbering.to_json(),
            "calls": [c.to_json() for c in self.calls],
            "call_count": self.call_count,
            "complete": self.complete,
            "end": {
                "outcome": self.end.outcome,
                "status": self.end.status,
                "kind": self.end.kind,
                "message": self.end.message,
            },
            "memory_bytes": self.memory_bytes,
            "missing_env": list(self.missing_env),
            "engine": self.engine,
        }

    @classmethod
    def from_json(cls, doc: Mapping[str, Any]) -> Trace:
        """Read what :meth:`to_json` wrote.

        Raises:
            TraceError: it is of a newer schema, or something else.
        """
        from lading.trace.numbering import Numbering

        schema = doc.get("schema")
        if schema != SCHEMA:
            raise TraceError(
                f"the trace has schema {schema!r}, this version of lading reads {SCHEMA!r}",
                remedy="update lading, or record the trace again",
            )
        unknown = sorted(k for k in doc if k not in _KEYS and not k.startswith("x-"))
        if unknown:
            raise TraceError(f"the trace has the unknown key {unknown[0]!r}", remedy="record it again")
        try:
            numbering = doc["numbering"]
            return cls(
                subject=doc["subject"],
                module=doc["module"],
                args=tuple(doc["args"]),
                models={m["id"]: TracedModel.from_json(m) for m in doc["models"]},
                calls=tuple(TracedCall.from_json(c) for c in doc["calls"]),
                numbering=Numbering(
                    numbering["name"],
                    tuple(numbering["candidates"]),
                    tuple(numbering["evidence"]),
                    dict(numbering["types"]),
                ),
                end=End(**doc["end"]),
                memory_bytes=doc["memory_bytes"],
                call_count=doc["call_count"],
                complete=doc["complete"],
                missing_env=tuple(doc["missing_env"]),
                engine=doc["engine"],
            )
        except (BadTrace, KeyError, TypeError, AttributeError) as error:
            raise TraceError(f"the trace is damaged: {error}", remedy="record it again") from error
