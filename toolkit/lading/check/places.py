"""Where a guest is to run: what ``--on`` names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lading import names
from lading.check.judge import Place
from lading.errors import AddressError, NameNotFound, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lading.datafiles import Skipped
    from lading.devices import Device

ALL: Final = "all"


def places(texts: Sequence[str], project_dir: Path | None = None, *, skipped: Skipped | None = None) -> list[Place]:
    """The firmware profiles (and targets) that names, addresses, or ``all`` stand for, each once.

    A target stands for all the profiles that it usually carries, a device for its own.

    Args:
        texts: the names and addresses.
        project_dir: the project whose own targets, profiles and devices count as well.
        skipped: is told of each profile that ``all`` cannot stand for because its file is wrong.

    Raises:
        NameNotFound, NameNotUnique: no such target, profile or device, or several.
        AddressError: not an address.
        UsageError: there is no name.
        DataFileError: a target or profile that cannot be used.
        DeviceUnreachable: a device has to be asked for its firmware, and does not answer.
    """
    if not texts:
        raise UsageError("--on names nothing", remedy="give a target, a firmware profile or a device, or 'all'")
    found: dict[tuple[str, str | None], Place] = {}
    for text in texts:
        for place in _places(text, project_dir, skipped):
            found.setdefault((place.profile.id, place.target.id if place.target else None), place)
    return list(found.values())


def _places(text: str, project_dir: Path | None, skipped: Skipped | None) -> list[Place]:
    from lading import profiles, targets
    from lading.devices import registry, resolve, resolve_many

    if text == ALL:
        return [Place(p) for p in profiles.load_all(project_dir, skipped=skipped).values()]
    if "://" in text:
        return [device_place(resolve(text, project_dir), project_dir)]
    known = registry.load(project_dir)
    name = names.match(
        text,
        {
            "target": targets.ids(project_dir),
            "profile": profiles.ids(project_dir),
            "device": [*known.devices, *known.groups],
        },
    )
    if name.kind == "profile":
        return [Place(profiles.find(f"profile:{name.id}", project_dir))]
    if name.kind == "target":
        target = targets.find(f"target:{name.id}", project_dir)
        return [Place(profiles.find(f"profile:{p}", project_dir), target) for p in target.profiles]
    return [device_place(device, project_dir) for device in resolve_many([f"device:{name.id}"], project_dir)]


def device_place(device: Device, project_dir: Path | None = None) -> Place:
    """A device's firmware profile and target: from its address, or from the device itself.

    Raises:
        NameNotFound: it has a firmware that nobody here knows.
        DeviceUnreachable: it has to be asked, and does not answer.
    """
    from lading.client import connect

    if device.firmware is not None:
        return known_place(device.firmware, device.target, device.project_dir or project_dir)
    with connect(device) as session:
        hello = session.hello
    profile, target = hello.profile.get("id"), hello.target.get("id")
    if not isinstance(profile, str):
        raise NameNotFound(
            f"{device} does not say which firmware profile it has",
            remedy="run `lading probe` on it, or name a profile with --on",
        )
    return known_place(profile, target if isinstance(target, str) else None, project_dir)


def known_place(profile: str, target: str | None, project_dir: Path | None = None) -> Place:
    """A place by ids.

    Raises:
        NameNotFound: nobody here knows that profile.
        AddressError: no profile at all.
    """
    from lading import profiles, targets

    if not profile:
        raise AddressError("there is no firmware profile", remedy="name one")
    board = None
    if target and target in targets.ids(project_dir):
        board = targets.find(f"target:{target}", project_dir)
    return Place(profiles.find(f"profile:{profile}", project_dir), board)
