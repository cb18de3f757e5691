"""What a microcontroller holds: releases by its pointer files, slots, and the switch from one state to the next."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from lading.errors import DeviceError, LockHeld, NoSpace, NoSuchApp, NoSuchRelease, UsageError
from lading.firmware import pointer, release_file
from lading.firmware.files import EMPTY, is_no_space
from lading.firmware.pointer import CURRENT, PINNED, PREVIOUS, Entry, Pointer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lading.firmware.files import Files
    from lading.firmware.release_file import Header
    from lading.profiles.schema import Mcu

POINTERS: Final = ("ldp0", "ldp1")


@dataclass(frozen=True)
class Installed:
    """A release on the device."""

    slot: int
    flags: int
    header: Header

    @property
    def app(self) -> str:
        """Its app."""
        return self.header.app

    @property
    def id(self) -> str:
        """Its release id."""
        return self.header.release

    @property
    def current(self) -> bool:
        """Whether the firmware runs it."""
        return bool(self.flags & CURRENT)

    @property
    def previous(self) -> bool:
        """Whether a rollback goes to it."""
        return bool(self.flags & PREVIOUS)

    @property
    def pinned(self) -> bool:
        """Whether it is kept from gc."""
        return bool(self.flags & PINNED)

    def files(self) -> dict[int, int]:
        """Slots that it needs, with the octets in each."""
        own = {p.slot: p.size for p in self.header.pieces if p.slot != release_file.HERE}
        return {self.slot: self.header.file_size, **own}

    def flagged(self, flags: int) -> Installed:
        """The same with other flags; a pin stays."""
        return replace(self, flags=flags | (self.flags & PINNED))

    def entry(self) -> Entry:
        """Its entry in a pointer file."""
        return Entry(self.slot, self.flags, self.header.crc)


def slot_name(slot: int) -> str:
    """The file of a slot."""
    return f"ld{slot:02x}"


class Store:
    """The store of one device, as it was when this was made.

    Args:
        files: the files in its folder.
        mcu: what the firmware profile says about it.
        label: the device, for messages.
    """

    def __init__(self, files: Files, mcu: Mcu, label: str) -> None:
        self.files = files
        self.mcu = mcu
        self.label = label
        self.damaged = 0
        """Entries of the pointer whose release file is not what it was."""
        files.close()
        self._which, self._pointer = self._chosen() or (1, Pointer(0))
        self.releases: tuple[Installed, ...] = tuple(self._installed())
        """The last current first."""

    def _chosen(self) -> tuple[int, Pointer] | None:
        return pointer.choose(*(self.files.read(name, pointer.MOST_BYTES + 1) for name in POINTERS))

    def _installed(self) -> Iterable[Installed]:
        for entry in self._pointer.entries:
            header = self._header(entry)
            if header is None:
                self.damaged += 1
            else:
                yield Installed(entry.slot, entry.flags, header)

    def _header(self, entry: Entry) -> Header | None:
        name = slot_name(entry.slot)
        beginning = self.files.read(name, 256) or b""
        size = release_file.header_size(beginning)
        if size is None:
            return None
        data = beginning if size <= len(beginning) else self.files.read(name, size) or b""
        header = release_file.decode(data)
        return header if header is not None and header.crc == entry.header_crc else None

    # what there is

    def apps(self) -> list[str]:
        """Names of the apps, sorted."""
        return sorted({release.app for release in self.releases})

    def which_app(self, name: str | None) -> str:
        """The app that is meant: the only one when none is named.

        Raises:
            NoSuchApp: there is none of that name, or none at all.
            UsageError: there are several.
        """
        apps = self.apps()
        if name is not None:
            if name not in apps:
                raise NoSuchApp(
                    f"{self.label}: the device has no app {name}",
                    remedy=f"apps on the device: {', '.join(apps) or 'none'}",
                )
            return name
        if len(apps) == 1:
            return apps[0]
        if not apps:
            raise NoSuchApp(f"{self.label}: the device holds no app", remedy="bring one: lading deploy PROJECT DEVICE")
        raise UsageError(
            f"{self.label}: the device holds several apps: {', '.join(apps)}", remedy="name one after the device"
        )

    def of(self, app: str) -> list[Installed]:
        """The releases of an app, the last current first."""
        return [release for release in self.releases if release.app == app]

    def current(self, app: str) -> Installed | None:
        """The current release of an app."""
        return next((release for release in self.of(app) if release.current), None)

    def previous(self, app: str) -> Installed | None:
        """The release that a rollback goes to."""
        return next((release for release in self.of(app) if release.previous), None)

    def require(self, app: str, wanted: str) -> Installed:
        """A release by its id or its unique beginning.

        Raises:
            NoSuchRelease: there is none, or several begin so.
        """
        found = [r for r in self.of(app) if r.id == wanted] or [r for r in self.of(app) if r.id.startswith(wanted)]
        if len(found) != 1:
            known = ", ".join(release.id for release in self.of(app))
            many = "several releases begin with" if found else f"{app} has no release"
            raise NoSuchRelease(f"{self.label}: {many} {wanted}", remedy=f"on the device: {known or 'none'}")
        return found[0]

    def used_slots(self, releases: Iterable[Installed] | None = None) -> dict[int, int]:
        """Slots that releases need, with the octets in each."""
        found: dict[int, int] = {}
        for release in self.releases if releases is None else releases:
            found.update(release.files())
        return found

    def room_for(self, sizes: Iterable[int]) -> int:
        """Octets that files of these sizes take of the file system."""
        block = int(self.mcu.block_bytes)
        return sum(-(-size // block) * block for size in sizes if size > self.mcu.inline_bytes)

    @property
    def used_bytes(self) -> int:
        """Octets that the releases take."""
        return self.room_for(self.used_slots().values())

    @property
    def free_bytes(self) -> int | None:
        """Octets that are left; None where the firmware profile does not say how many there are."""
        if self.mcu.storage_bytes is None:
            return None
        return max(0, int(self.mcu.storage_bytes) - self.used_bytes)

    def leftovers(self) -> dict[int, int]:
        """Slots that no release needs and that hold something, with the octets in each."""
        used = self.used_slots()
        found: dict[int, int] = {}
        for slot in range(self.mcu.slots):
            if slot in used:
                continue
            length = self.files.length(slot_name(slot))
            if length is None:
                break  # slots are made one after the other and never go
            if length > len(EMPTY):
                found[slot] = length
        return found

    # what changes

    def see_that_nobody_changed_it(self) -> None:
        """Look whether the device is as it was when this was made: slots that were free then may not be any more.

        Raises:
            LockHeld: another client is at work.
        """
        if (self._chosen() or (1, Pointer(0)))[1] != self._pointer:
            raise LockHeld(
                f"{self.label}: another client has changed the releases meanwhile", remedy="try again when it is done"
            )

    def switch(self, releases: Sequence[Installed]) -> None:
        """Make this the device's state. A reset at any moment leaves the state before or this one.

        Raises:
            LockHeld: another client has changed the device meanwhile.
            NoSpace: not even a pointer file can be written.
            DeviceError: the device does not keep what is written.
        """
        if len(releases) > pointer.MOST_ENTRIES:
            raise NoSpace(
                f"{self.label}: a device holds at most {pointer.MOST_ENTRIES} releases", remedy="lading gc DEVICE"
            )
        self.see_that_nobody_changed_it()
        which = 1 - self._which
        new = Pointer((self._pointer.sequence + 1) & 0xFFFFFFFF, tuple(release.entry() for release in releases))
        data = new.encode()
        try:
            self.files.write_all(POINTERS[which], data)
        except DeviceError as error:
            if is_no_space(error):
                raise NoSpace(
                    f"{self.label}: there is no space for a pointer file",
                    remedy="remove a release that is not needed: lading remove DEVICE APP --release RELEASE",
                ) from error
            raise
        if self.files.read(POINTERS[which], pointer.MOST_BYTES + 1) != data:
            raise DeviceError(
                f"{self.label}: the device did not keep the pointer file as it was written",
                remedy="see whether its flash is worn; the release before is current",
            )
        self._which, self._pointer, self.releases = which, new, tuple(releases)

    def made_current(self, wanted: Installed) -> list[Installed]:
        """The releases when ``wanted`` becomes current: it first, then the one that it takes over from."""
        before = self.current(wanted.app)
        first = [wanted.flagged(CURRENT)]
        if before is not None and before.id != wanted.id:
            first.append(before.flagged(PREVIOUS))
        elif before is not None:
            first += [old for old in self.of(wanted.app) if old.previous]
        done = {(release.app, release.id) for release in first}
        rest = [release for release in self.releases if (release.app, release.id) not in done]
        return first + [r.flagged(0) if r.app == wanted.app else r for r in rest]

    def drop(self, gone: Sequence[Installed]) -> int:
        """Take releases out of the state, then give back what only they needed; the octets that this freed."""
        ids = {(release.app, release.id) for release in gone}
        left = [release for release in self.releases if (release.app, release.id) not in ids]
        before = self.used_bytes
        self.switch(left)
        self.clean()
        return before - self.used_bytes

    def clean(self, but: Iterable[int] = ()) -> int:
        """Give back what interrupted pushes and dropped releases left; the slots that were emptied.

        Raises:
            LockHeld: another client may be using them by now.
        """
        self.see_that_nobody_changed_it()
        spared = set(but)
        emptied = 0
        for slot in self.leftovers():
            if slot not in spared:
                self.files.empty(slot_name(slot))
                emptied += 1
        return emptied
