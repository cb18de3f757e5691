"""Variants that are compiled ahead: where they are at home, and the verdict everywhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.check.verdict import Verdict
from lading_agent.ahead import Ahead, ahead_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from lading.check.judge import Place
    from lading_agent.bill import Variant


def elsewhere(variant: Variant, place: Place) -> Verdict | None:
    """The verdict on a compiled variant where lading's own hosts run the guest; None: it is not compiled."""
    ahead = ahead_of(variant)
    if ahead is None:
        return None
    reason = f"its guest is compiled ahead for {ahead.runtime} {ahead.version} on {ahead.architecture}"
    return _fails(place.profile.id, ahead, f"{reason}: only a board's own {ahead.runtime} runs that")


def on_runtime(variant: Variant, runtime: Mapping[str, Any], architecture: str, verdict: Verdict) -> Verdict:
    """The verdict on a variant on a device's own runtime.

    Args:
        variant: the variant.
        runtime: as :meth:`lading.client.Session.runtimes` tells it.
        architecture: of the device, as ``uname -m`` says it.
        verdict: on the module that it is, or that it was made of.
    """
    ahead = ahead_of(variant)
    if ahead is None:
        return verdict
    why = ahead.unfit(str(runtime["name"]), str(runtime.get("version") or ""), architecture)
    if not why and verdict.verdict == "unknown":
        why = f"machine code is sent only where the module that it was made of is known to work: {verdict.reason}"
    return _fails(verdict.profile, ahead, why) if why else verdict


def _fails(profile: str, ahead: Ahead, reason: str) -> Verdict:
    return Verdict(
        "fails", profile, "declared", "instantiate", reason=reason, remedy=f"use the variant '{ahead.portable}'"
    )
