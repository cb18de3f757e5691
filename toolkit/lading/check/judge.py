"""One verdict: a trace held against a firmware profile, and a target's memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lading.check import loading, models
from lading.check.remedies import remedy
from lading.check.replay import Divergence, replay
from lading.check.verdict import At, Errno, Verdict
from lading_agent.nn.personality import Personality

if TYPE_CHECKING:
    from typing import Any

    from lading.check.loading import Refusal
    from lading.check.replay import Replayed
    from lading.check.verdict import KnownBy, Outcome
    from lading.profiles.schema import FirmwareProfile
    from lading.targets import Target
    from lading.trace.document import Trace

_CRASHES = ("abort", "segv")


@dataclass(frozen=True)
class Place:
    """Where a guest is to run: a firmware, perhaps on a target."""

    profile: FirmwareProfile
    target: Target | None = None

    @property
    def memory_bytes(self) -> int | None:
        """What a run may use: the firmware's limit and the target's, whichever is lower."""
        own = self.profile.limits.memory_bytes
        known = [m for m in (own, self.target.run_memory_bytes if self.target else None) if m is not None]
        return min(map(int, known)) if known else None


def judge(trace: Trace, place: Place) -> Verdict:
    """What will become of the traced guest.

    Nothing is run. The order is that of a real host: it loads the module, links it, and answers calls.
    """
    return _Judge(trace, place).verdict()


class _Judge:
    def __init__(self, trace: Trace, place: Place) -> None:
        self._trace = trace
        self._place = place
        self._profile = place.profile
        self._known_by: KnownBy = place.profile.provenance.known_by

    def verdict(self) -> Verdict:
        module = self._trace.module
        profile = self._profile
        components_only = profile.wasm.components and not profile.runs_guests
        refusal = loading.refused_kind(
            module, components=components_only or (profile.wasm.components and module["kind"] == "component")
        )
        if refusal is None and module["kind"] == "component":
            refusal = loading.Refusal(
                "unknown", None, "what a component calls is not recorded", "try it on the firmware itself"
            )
        if refusal is None and self._trace.end.kind == "invalid-module":
            refusal = loading.Refusal("fails", "not-loadable", self._trace.end.message, "is the file damaged?")
        silent = None
        if refusal is None:
            refusal = loading.refused_feature(module, profile.wasm.features)
            if refusal is not None and refusal.verdict == "unknown":
                refusal, silent = None, refusal
        if refusal is not None:
            return self._refused(refusal)
        if not profile.runs_guests:
            return self._declared(silent)
        return self._played(Personality.from_json(profile.resolved()), silent)

    def _played(self, personality: Personality, silent: Refusal | None) -> Verdict:
        module, place = self._trace.module, self._place
        refusal = (
            loading.refused_import(module, personality)
            or loading.refused_shape(module)
            or loading.refused_memory(module, place.memory_bytes, self._whose())
        )
        if refusal is not None:
            return self._refused(refusal)
        if silent is not None:
            return self._refused(silent)
        played = replay(self._trace, personality, loading.unlinked(module, personality))
        if played.first is None:
            too_large = models.too_large(self._trace, place.memory_bytes, self._whose())
            if too_large is not None:
                return self._diverged(too_large, played, personality, known_by="inferred")
        outgrown = loading.outgrown(self._trace, place.memory_bytes, self._whose(), played.first)
        if outgrown is not None:
            return self._make("unknown", reason=outgrown.reason, remedy=outgrown.remedy, warnings=played.warnings)
        if played.first is not None:
            return self._diverged(played.first, played, personality)
        return self._all_succeed(played)

    def _whose(self) -> str:
        target = self._place.target
        return target.id if target is not None else self._profile.id

    def _all_succeed(self, played: Replayed) -> Verdict:
        end = self._trace.end
        warnings = (*played.warnings, *models.warnings(self._trace))
        if played.beyond is not None:
            call = played.beyond
            return self._make(
                "unknown",
                at=At(call.n, call.function),
                reason=f"{call.function} succeeds here and answered {call.outcome} in the trace: what the guest does "
                "then is not known",
                remedy="try it on the firmware itself",
                warnings=warnings,
            )
        if not end.by_itself or end.status:
            if end.by_itself:
                how = f"the guest ended with status {end.status}"
            else:
                how = f"the guest did not get to its end ({end.kind}: {end.message})"
            # A guest that got an output has shown what it does; how it ends then is its own business.
            if not self._trace.got_output or not (end.by_itself or end.kind == "time-limit"):
                return self._make(
                    "unknown",
                    reason=f"in the trace {how} before it got an output",
                    remedy="see `lading trace`: does it need arguments, directories, models or more time?",
                    warnings=warnings,
                )
            warnings = (*warnings, f"in the trace {how}")
        if not self._trace.complete:
            return self._make(
                "unknown",
                reason=f"the guest made {self._trace.call_count} calls, too many different ones to look at all of them",
                remedy="trace it with less work to do",
                warnings=warnings,
            )
        return self._make("ok", warnings=warnings)

    def _diverged(
        self, found: Divergence, played: Replayed, personality: Personality, *, known_by: KnownBy | None = None
    ) -> Verdict:
        outcome: Outcome = "errno"
        errno = None
        if found.outcome in _CRASHES:
            outcome = "host-crash"
        elif found.outcome == "trap":
            outcome = "trap"
        else:
            errno = Errno(found.outcome, found.errno)
        end = self._trace.end
        handled = played.handled and end.by_itself and not end.status and self._trace.complete
        return self._make(
            "fails",
            at=At(found.step, found.function),
            outcome=outcome,
            errno=errno,
            reason=found.reason or found.outcome,
            remedy=remedy(found, self._trace, personality),
            known_by=known_by,
            handled=handled,
            warnings=played.warnings,
        )

    def _declared(self, silent: Refusal | None) -> Verdict:
        """A firmware whose calls nobody knows: what its profile declares is held against the models."""
        found = models.refused_model(self._trace, self._profile)
        if found is not None:
            outcome: Outcome | None = "errno" if found.errno else "not-loadable"
            return self._make(
                "fails",
                at="instantiate" if found.at is None else found.at,
                outcome=outcome,
                errno=found.errno,
                reason=found.reason,
                remedy=found.remedy,
            )
        if silent is not None:
            return self._refused(silent)
        return self._make(
            "unknown",
            reason="what is declared of this firmware fits the models; how it answers calls is not known",
            remedy="try it on the firmware itself",
        )

    def _refused(self, refusal: Refusal) -> Verdict:
        at: Any = "instantiate"
        return self._make(refusal.verdict, at=at, outcome=refusal.outcome, reason=refusal.reason, remedy=refusal.remedy)

    def _make(self, verdict: Any, *, known_by: KnownBy | None = None, **rest: Any) -> Verdict:
        target = self._place.target
        return Verdict(
            verdict=verdict,
            profile=self._profile.id,
            known_by=known_by or self._known_by,
            target=target.id if target is not None else None,
            **rest,
        )
