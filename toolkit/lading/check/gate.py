"""The check that stands before a push: what may go to a device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.check.compiled import elsewhere
from lading.check.judge import judge
from lading.check.verdict import Verdict
from lading.errors import CheckRefused, NameNotFound

if TYPE_CHECKING:
    from collections.abc import Callable

    from lading.bundle.reader import Bundle
    from lading.client import Session
    from lading.devices import Device


def device_judge(bundle: Bundle, session: Session, device: Device) -> tuple[str, Callable[[str], Verdict]]:
    """What becomes of a bundle's variants on a device, by the firmware profile that the device itself names.

    Returns:
        The id of that profile, and the check of one variant by its id.
    """
    from lading.check.places import known_place
    from lading.trace.cache import bundle_trace

    profile, target = session.hello.profile.get("id"), session.hello.target.get("id")
    name = profile if isinstance(profile, str) else ""
    try:
        place = known_place(name, target if isinstance(target, str) else None, device.project_dir)
    except NameNotFound:
        unknown = Verdict(
            "unknown",
            name or "?",
            "declared",
            reason=f"the device has the firmware {name!r}, which nobody here knows",
            remedy="run `lading probe --save` on it, or update lading",
        )
        return name, lambda _variant: unknown

    def judge_one(variant: str) -> Verdict:
        compiled = elsewhere(bundle.bill.variant(variant), place)
        return compiled or judge(bundle_trace(bundle, variant, project_dir=device.project_dir), place)

    return name, judge_one


def refuse(verdict: Verdict, *, allow_unknown: bool) -> None:
    """Let pass what is ok, what the guest was seen to deal with, and (if the user says so) what nobody knows.

    Raises:
        CheckRefused: it may not go to the device.
    """
    if verdict.verdict == "ok" or verdict.handled or (verdict.verdict == "unknown" and allow_unknown):
        return
    remedy = verdict.remedy
    if verdict.verdict == "unknown":
        remedy = f"{remedy}; or deploy it all the same with --allow-unknown" if remedy else "use --allow-unknown"
    raise CheckRefused(f"the check says: {verdict.sentence()}", remedy=remedy, details=verdict.to_json())


def said(verdict: Verdict) -> str:
    """The verdict of a guest that passes, in one line."""
    if verdict.handled:
        return f"checked: {verdict.where} answers {verdict.answer} on {verdict.profile}, which the guest deals with"
    notes = f" ({'; '.join(verdict.warnings)})" if verdict.warnings else ""
    if verdict.verdict == "unknown":
        return f"checked: unknown on {verdict.profile}, and allowed: {verdict.reason}"
    return f"checked: ok on {verdict.profile}{notes}"
