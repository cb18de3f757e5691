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
        from xml.etree import ElementTree as ET

        suite = ET.Element(
            "testsuite",
            name=_clean(f"lading check {self.trace.subject}"),
            tests=str(len(self.verdicts)),
            failures=str(sum(v.verdict == "fails" for v in self.verdicts)),
            errors="0",
            skipped=str(sum(v.verdict == "unknown" for v in self.verdicts)),
        )
        for v in self.verdicts:
            name = v.profile if v.target is None else f"{v.target} / {v.profile}"
            case = ET.SubElement(suite, "testcase", classname=_clean(self.trace.subject), name=_clean(name), time="0")
            if v.verdict == "fails":
                said = ET.SubElement(case, "failure", message=_clean(v.sentence()), type=v.answer or "fails")
                said.text = _clean(f"{v.sentence()}\nremedy: {v.remedy}\nknown by: {v.known_by}")
            elif v.verdict == "unknown":
                ET.SubElement(case, "skipped", message=_clean(v.sentence()))
            if v.warnings:
                ET.SubElement(case, "system-out").text = _clean("\n".join(v.warnings))
        root = ET.Element("testsuites")
        root.append(suite)
        ET.indent(root)
        return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _one(names: Any, name: str, ids: Sequence[str]) -> str:
    from lading.errors import NameNotFound

    try:
        return str(names.find(name, ids, "profile"))
    except NameNotFound:
        raise UsageError(
            f"--require {name!r} is not among the profiles that are checked: {', '.join(ids)}",
            remedy="name one of them, or add it with --on",
        ) from None


def _clean(text: str) -> str:
    """Text that XML can hold."""
    return "".join(c if c in "\t\n\r" or (c.isprintable() and ord(c) < 0x110000) else "?" for c in text)
