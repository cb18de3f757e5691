"""The check of an app on the runtimes that a device has of its own.

Which firmware profile judges follows from the runtime and its version; where several stand for a version (an ``iwasm``
does not say for which wasi-nn it was built), all of them have to agree, unless the device's was measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lading.check.judge import judge
from lading.check.places import known_place
from lading.check.verdict import Verdict
from lading.errors import CheckRefused, NameNotFound

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lading.bundle.reader import Bundle
    from lading.client import Session
    from lading.devices import Device

OWN: Final = "lading"


def find(runtimes: Sequence[Mapping[str, Any]], name: str, device: str) -> Mapping[str, Any]:
    """One of a device's runtimes.

    Raises:
        CheckRefused: it does not have it.
    """
    for runtime in runtimes:
        if runtime["name"] == name:
            return runtime
    has = ", ".join(str(r["name"]) for r in runtimes) or "none besides lading's own"
    raise CheckRefused(
        f"{device} has no runtime {name!r}; it has {has}",
        remedy=f"install {name} there, use another runtime (--runtime, or runtime in lading.toml), or another device",
    )


def runtime_verdict(bundle: Bundle, session: Session, device: Device, runtime: Mapping[str, Any]) -> Verdict:
    """What becomes of a bundle's guest on one of a device's runtimes.

    Args:
        bundle: the bundle.
        session: with the device.
        device: the device.
        runtime: as :meth:`lading.client.Session.runtimes` tells it.
    """
    from lading.trace.cache import bundle_trace

    named = f"{runtime['name']} {runtime.get('version') or ''}".rstrip()
    target = session.hello.target.get("id")
    verdicts = []
    for id_ in runtime.get("profiles") or ():
        try:
            place = known_place(str(id_), target if isinstance(target, str) else None, device.project_dir)
        except NameNotFound:
            continue
        verdicts.append(judge(bundle_trace(bundle, project_dir=device.project_dir), place))
    measure = f"`lading probe {device} --runtime {runtime['name']}` finds out what it is"
    if not verdicts:
        what = named if runtime.get("version") else f"{named}, which does not say its version,"
        return Verdict(
            "unknown", "?", "declared", reason=f"no firmware profile stands for {what} on {device}", remedy=measure
        )
    bad = [v for v in verdicts if not _passes(v)]
    if not bad or len(bad) == len(verdicts):
        return (bad or verdicts)[0]
    said = "; ".join(v.sentence() for v in verdicts)
    return Verdict(
        "unknown",
        ", ".join(v.profile for v in verdicts),
        bad[0].known_by,
        reason=f"{named} may be either of them: {said}",
        remedy=measure,
        target=bad[0].target,
    )


def judged(runtime: Mapping[str, Any], verdict: Verdict, *, allow_unknown: bool) -> dict[str, Any]:
    """A verdict as the device keeps it."""
    return {
        "runtime": runtime["name"],
        "version": runtime.get("version") or "",
        "passes": _passes(verdict) or (verdict.verdict == "unknown" and allow_unknown),
        "unknown": verdict.verdict == "unknown",
        "said": verdict.sentence(),
        "remedy": verdict.remedy,
    }


def _passes(verdict: Verdict) -> bool:
    return verdict.verdict == "ok" or verdict.handled
