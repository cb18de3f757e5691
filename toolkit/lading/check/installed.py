"""The check of an app on the runtimes that a device has of its own.

Which firmware profile judges follows from the runtime and its version; where several stand for a version (an ``iwasm``
does not say for which wasi-nn it was built), all of them have to agree, unless the device's was measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lading.check.compiled import on_runtime
from lading.check.judge import judge
from lading.check.places import known_place
from lading.check.verdict import Verdict
from lading.errors import CheckRefused, NameNotFound

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lading.bundle.reader import Bundle
    from lading.check.judge import Place
    from lading.client import Session
    from lading.devices import Device
    from lading.trace.document import Trace

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


def runtime_verdict(
    bundle: Bundle, session: Session, device: Device, runtime: Mapping[str, Any], variant: str = "default"
) -> Verdict:
    """What becomes of a bundle's guest on one of a device's runtimes.

    Args:
        bundle: the bundle.
        session: with the device.
        device: the device.
        runtime: as :meth:`lading.client.Session.runtimes` tells it.
        variant: which of the bundle's variants.
    """
    found = _runtime_verdict(bundle, session, device, runtime, variant)
    return on_runtime(bundle.bill.variant(variant), runtime, session.hello.machine, found)


def _runtime_verdict(
    bundle: Bundle, session: Session, device: Device, runtime: Mapping[str, Any], variant: str
) -> Verdict:
    from lading.trace.cache import bundle_trace

    named = f"{runtime['name']} {runtime.get('version') or ''}".rstrip()
    target = session.hello.target.get("id")
    verdicts = []
    for id_ in runtime.get("profiles") or ():
        try:
            place = known_place(str(id_), target if isinstance(target, str) else None, device.project_dir)
        except NameNotFound:
            continue
        trace = bundle_trace(bundle, variant, project_dir=device.project_dir)
        verdicts.append(_by_path(trace, place) or judge(trace, place))
    measure = f"`lading probe {device} --runtime {runtime['name']}` finds out what it is"
    if not verdicts:
        what = named if runtime.get("version") else f"{named}, which does not say its version,"
        return Verdict(
            "unknown", "?", "declared", reason=f"no firmware profile stands for {what} on {device}", remedy=measure
        )
    bad = [v for v in verdicts if not _passes(v)]
    if len(verdicts) == 1 or not bad or all(v.verdict == "fails" and not v.handled for v in verdicts):
        return verdicts[0]
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


def _by_path(trace: Trace, place: Place) -> Verdict | None:
    """The verdict on a guest that loads by name where a name is the path of a file of the device itself.

    The emulated host looks into the guest's directories only, and never at the machine that it runs on: what the device
    finds at such a path it cannot say.
    """
    steps = place.profile.functions.get("load_by_name") or ()
    call = next((call for call in trace.calls if call.function == "load_by_name"), None)
    if call is None or not any(step.get("step") == "file-model" for step in steps):
        return None
    return Verdict(
        "unknown",
        place.profile.id,
        place.profile.provenance.known_by,
        reason=f"{call.function} (call {call.n}): this runtime takes names for paths of the device's own files",
        remedy="let the guest load the model's bytes (load), from a file of a [[dir]] for example",
    )


def _passes(verdict: Verdict) -> bool:
    return verdict.verdict == "ok" or verdict.handled
