"""Engines that an app asks for by their versions, brought beside a device's own set when it lacks them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from lading.bootstrap.stages import Stage
from lading.errors import EngineMissing, EngineUnfit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lading.bootstrap.stages import OnStage
    from lading.client import Session
    from lading.devices import Device

T = TypeVar("T")


def with_engines(
    session: Session,
    wanted: Mapping[str, str],
    push: Callable[[], T],
    device: Device,
    *,
    dry_run: bool = False,
    on_stage: OnStage,
) -> T:
    """Push; where the device refuses because it lacks the app's engines, bring those and push again.

    A device that has them is asked nothing more than the push itself. An emulated device is this machine: what is
    missing there is fetched by the user.

    Args:
        session: with the device.
        wanted: versions by name, as the bill has them.
        push: does the push; the agent refuses it before anything of it is sent.
        device: the device.
        dry_run: nothing may be brought.
        on_stage: told of what is brought.

    Raises:
        EngineMissing: they are missing, and cannot be brought to such a device.
        EngineUnfit: they do not run there. Nothing was sent.
        NoSuchEngine, EngineUnreachable, EngineDamaged: they cannot be had here. Nothing was sent.
        EngineFailed: they were sent, and do not work on the device; nothing else changed.
    """
    from lading.devices import EmulatedDevice

    try:
        return push()
    except EngineMissing:
        if dry_run or isinstance(device, EmulatedDevice):
            raise
    _bring(session, wanted, str(device), on_stage)
    return push()


def _bring(session: Session, wanted: Mapping[str, str], where: str, on_stage: OnStage) -> None:
    from lading.bootstrap.cargo import engines_folder
    from lading.bootstrap.check import make_check
    from lading.engines import default_set, fits, minimums

    facts: Mapping[str, Any] = session.facts().get("facts") or {}
    architecture = str((facts.get("system") or {}).get("machine") or session.hello.machine)
    reasons = fits(minimums(architecture, wanted), facts)
    if reasons:
        named = " ".join(f"{name} {version}" for name, version in sorted(wanted.items()))
        first, _, remedy = reasons[0].partition(": ")
        raise EngineUnfit(
            f"{where} cannot have the engines that the app asks for ({named}): {first}",
            remedy=remedy or "take [engines] out of lading.toml",
            details={"reasons": reasons},
        )
    parts = default_set(
        architecture,
        versions=wanted,
        folder=engines_folder(),
        progress=lambda name, done, total: on_stage(Stage("fetch", f"fetching {name}", done, total)),
    )
    profile: Mapping[str, Any] = session.describe().get("profile") or {}
    f32 = int(profile["abi"]["tensor_types"]["f32"])
    named = ", ".join(f"{part.name} {part.version}" for part in parts)
    session.install_beside(
        parts,
        make_check(f32),
        progress=lambda done, total: on_stage(Stage("engines", f"bringing engines for the app ({named})", done, total)),
        on_event=lambda name, _: on_stage(Stage("check", "trying the engines")) if name == "check" else None,
    )
