"""What a check comes to: verdicts, the exit status, JSON and JUnit XML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lading.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lading.check.verdict import Verdict
    from lading.trace.document import Trace

ALL: Final = "all"


@dataclass(frozen=True)
class Report:
    """One subject's verdicts."""

    trace: Trace
    verdicts: tuple[Verdict, ...]

    def status(self, require: Sequence[str], *, allow_unknown: bool) -> int:
        """The exit status: 0 when what is required is good enough, else 1.

        Args:
            require: profile ids, or ``all``; nothing: at least one verdict has to be good.
            allow_unknown: ``unknown`` is good enough.

        Raises:
            UsageError: a required profile was not checked.
        """
        good = {"ok", "unknown"} if allow_unknown else {"ok"}
        if not require:
            return 0 if any(v.verdict in good for v in self.verdicts) else 1
        from lading import names

        ids = sorted({v.profile for v in self.verdicts})
        wanted = {i for name in require for i in (ids if name == ALL else [_one(names, name, ids)])}
        return 0 if all(v.verdict in good for v in self.verdicts if v.profile in wanted) else 1

    def to_json(self) -> dict[str, Any]:
        """The document's keys."""
        counts = {word: sum(v.verdict == word for v in self.verdicts) for word in ("ok", "fails", "unknown")}
        trace = self.trace
        return {
            "subject": trace.subject,
            "module": {k: trace.module[k] for k in ("file", "digest", "size", "kind", "wasi", "nn_modules")},
            "needs": {
                "features": sorted(trace.module["features"]),
                "memory_bytes": trace.memory_bytes or trace.module["memory_bytes"],
                "numbering": trace.numbering.to_json(),
                "models": [{"id": m.id, "name": m.name, "size": m.size, **m.needs} for m in trace.models.values()],
            },
            "trace": {
                "calls": trace.call_count,
                "complete": trace.complete,
                "outcome": trace.end.outcome,
                "status": trace.end.status,
            },
            "verdicts": [v.to_json() for v in self.verdicts],
            "counts": counts,
        }

    def to_junit(self) -> str:
        """A JUnit XML document: one test case a verdict; ``unknown`` is skipped, ``fails`` a failure."""
        from lading.junit import Case, State, document

        states: dict[str, State] = {"ok": "passed", "fails": "failed", "unknown": "skipped"}
        cases = [
            Case(
                group=self.trace.subject,
                name=v.profile if v.target is None else f"{v.target} / {v.profile}",
                state=states[v.verdict],
                why="" if v.verdict == "ok" else v.sentence(),
                text=f"{v.sentence()}\nremedy: {v.remedy}\nknown by: {v.known_by}" if v.verdict == "fails" else "",
                kind=v.answer or v.verdict,
                output="\n".join(v.warnings),
                time_s=0.0,
            )
            for v in self.verdicts
        ]
        return document(f"lading check {self.trace.subject}", cases)


def _one(names: Any, name: str, ids: Sequence[str]) -> str:
    from lading.errors import NameNotFound

    try:
        return str(names.find(name, ids, "profile"))
    except NameNotFound:
        raise UsageError(
            f"--require {name!r} is not among the profiles that are checked: {', '.join(ids)}",
            remedy="name one of them, or add it with --on",
        ) from None
