"""Groups of devices: putting members in, taking them out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.devices import registry
from lading.devices.resolve import resolve_many
from lading.errors import NameNotFound, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lading.devices.registry import Group, Registry


def add(name: str, members: Sequence[str], *, file: Path, project_dir: Path) -> Group:
    """Put devices into a group, which is made where it is not there.

    Args:
        name: the group's name.
        members: names or addresses of devices, or names of groups.
        file: where a new group goes; one that is there stays in its file.
        project_dir: the project whose names count.

    Raises:
        UsageError: no members, or the group would contain itself.
        NameNotFound, AddressError: a member is nobody.
        DataFileError: a devices file is wrong, or has a device of that name.
    """
    if not members:
        raise UsageError(
            f"nothing is given to put into {name}", remedy="name devices: lading device group NAME DEVICE…"
        )
    known = registry.load(project_dir)
    before = known.groups.get(name)
    for member in members:
        if name == member or name in _within(member, known):
            raise UsageError(f"{name} would contain itself, by way of {member}", remedy="leave that member out")
    resolve_many(members, project_dir)
    wanted = tuple(dict.fromkeys((*(before.members if before else ()), *members)))
    path = before.file if before else file
    registry.put_group(path, name, wanted)
    return registry.Group(name, wanted, path)


def remove(name: str, members: Sequence[str], *, project_dir: Path) -> Group:
    """Take members out of a group, or (none given) the group away; one without members goes too.

    Returns:
        The group as it is now, perhaps empty.

    Raises:
        NameNotFound: there is no such group.
        UsageError: a member is not in it, or the group itself is another's only member.
        DataFileError: a devices file is wrong.
    """
    known = registry.load(project_dir)
    group = known.groups.get(name)
    if group is None:
        named = ", ".join(sorted(known.groups)) or "none"
        raise NameNotFound(f"there is no group named {name!r}", remedy=f"groups are: {named}")
    for member in members:
        if member not in group.members:
            raise UsageError(f"{member} is not in {name}", remedy=f"it has: {', '.join(group.members)}")
    left = tuple(member for member in group.members if members and member not in members)
    if left:
        registry.put_group(group.file, name, left)
    else:
        holders = [other.name for other in known.groups.values() if name in other.members]
        if holders:
            raise UsageError(
                f"{name} is a member of {', '.join(holders)}",
                remedy=f"take it out first: lading device group {holders[0]} {name} --remove",
            )
        registry.drop_group(group.file, name)
    return registry.Group(name, left, group.file)


def _within(name: str, known: Registry, seen: frozenset[str] = frozenset()) -> set[str]:
    """Every name that a group leads to."""
    group = known.groups.get(name)
    if group is None or name in seen:
        return set()
    inner = (_within(member, known, seen | {name}) for member in group.members)
    return set(group.members).union(*inner)
