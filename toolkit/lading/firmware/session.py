"""A session with a microcontroller: the same questions and answers as with a device that has an agent."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from lading.client.session import Session
from lading.errors import NoSuchRelease, Unsupported, UsageError
from lading.firmware import facts
from lading.firmware.alone import alone
from lading.firmware.files import Files
from lading.firmware.pointer import PINNED
from lading.firmware.pushing import Push, old_releases
from lading.firmware.shell import Shell
from lading.firmware.store import Store, slot_name
from lading_agent.wire.hello import Hello

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from typing import BinaryIO

    from lading.client.events import Event
    from lading.client.pushing import Cargo
    from lading.client.results import PushResult, RunResult
    from lading.firmware.store import Installed
    from lading.links.smp import SmpLink
    from lading.profiles.schema import FirmwareProfile, Mcu

ELSEWHERE = "use a device that runs an agent: a Linux board over SSH or its serial console"


class FirmwareSession(Session):
    """A session without an agent at the other end: everything is done from here, file by file.

    Args:
        link: to the device's SMP server; closed with the session.
        mcu: how the device is used.
        profile: its firmware profile, where one is known.
        root: the folder for releases, in place of the profile's.
    """

    def __init__(self, link: SmpLink, mcu: Mcu, profile: FirmwareProfile | None, root: str | None) -> None:
        self._smp = link
        self._mcu = mcu
        self._profile = profile
        self._root = root or mcu.root

    def close(self) -> None:
        """End the session."""
        self._smp.close()

    def _alone(self) -> AbstractContextManager[None]:
        return alone(self._smp.place, self._smp.description)

    @cached_property
    def _files(self) -> Files:
        return Files(self._smp, self._root, int(self._mcu.sync_bytes))

    @property
    def _store(self) -> Store:
        """What the device holds, as it is now."""
        return Store(self._files, self._mcu, self._smp.description)

    @cached_property
    def _shell(self) -> Shell:
        return Shell(self._smp, self._mcu, lambda slot: f"{self._root.rstrip('/')}/{slot_name(slot)}")

    @cached_property
    def hello(self) -> Hello:
        """What is known of the device without an agent."""
        profile = {"id": self._profile.id, "name": self._profile.title} if self._profile is not None else {}
        board = facts.board(self._smp)
        return Hello("agent", "none", (0, 0), target={"name": board} if board else {}, profile=profile)

    @property
    def round_trips(self) -> int:
        """Requests so far; each was waited for."""
        return self._smp.round_trips

    # releases

    def push(
        self,
        bundle: Cargo,
        *,
        variant: str = "default",
        keep: int | None = None,
        force: bool = False,
        dry_run: bool = False,
        confirm_within_s: float | None = None,
        progress: Callable[[int, int], None] | None = None,
        on_event: Callable[[str, Mapping[str, object]], None] | None = None,
        **more: Any,
    ) -> PushResult:
        """Bring a bundle onto the device, try its smoke runs, make it current; see :meth:`Session.push`.

        Raises:
            NoSpace, SmokeFailed: what was current stays it.
            Unsupported: it is to be confirmed, and nothing on the device would take it back.
        """
        if more.get("runtime"):
            self._cannot("choose among runtimes", remedy="leave out --runtime")
        if confirm_within_s is not None:
            self._cannot("take a release back by itself", remedy="leave out --confirm-within")
        with self._alone():
            push = Push(self._store, self._shell, bundle, variant, progress, on_event)
            return push.run(keep=keep, force=force, dry_run=dry_run)

    def status(self, app: str | None = None) -> dict[str, Any]:
        """What the device holds: ``apps`` (by name), ``disk``, ``lock``."""
        store = self._store
        names = store.apps() if app is None else [store.which_app(app)]
        return {
            "apps": {name: _status_of(store, name) for name in names},
            "disk": {"used_bytes": store.used_bytes, "free_bytes": store.free_bytes, "free_inodes": None},
            "lock": None,
        }

    def releases(self, app: str | None = None) -> dict[str, Any]:
        """An app's ``releases``, the last current first. There is no clock, so there is no history."""
        store = self._store
        name = store.which_app(app)
        return {
            "app": name,
            "current": _id(store.current(name)),
            "previous": _id(store.previous(name)),
            "pending": None,
            "releases": [
                {
                    "release": release.id,
                    "variant": release.header.variant,
                    "current": release.current,
                    "previous": release.previous,
                    "pinned": release.pinned,
                    "installed_at": None,
                    "size": sum(release.files().values()),
                }
                for release in store.of(name)
            ],
            "history": [],
        }

    def rollback(self, app: str | None = None, to: str | None = None) -> dict[str, Any]:
        """Make an earlier release current: the previous one, or ``to``. Answers ``current`` and ``previous``."""
        with self._alone():
            store = self._store
            name = store.which_app(app)
            before = store.current(name)
            wanted = store.require(name, to) if to is not None else store.previous(name)
            if wanted is None:
                raise NoSuchRelease(
                    f"{name} has no earlier release to go back to",
                    remedy="name one with --to: lading releases lists what the device holds",
                )
            if not wanted.current:
                store.switch(store.made_current(wanted))
        return {"app": name, "current": wanted.id, "previous": _id(before)}

    def remove(self, app: str, release: str | None = None, dry_run: bool = False) -> dict[str, Any]:
        """Throw away one release, or the app. Answers ``removed`` and ``freed_bytes``."""
        with self._alone():
            store = self._store
            name = store.which_app(app)
            gone = store.of(name)
            if release is not None:
                gone = [store.require(name, release)]
                if gone[0].current:
                    raise UsageError(
                        f"{gone[0].id} is the current release of {name}",
                        remedy="go back first (lading rollback), or remove the whole app",
                    )
            return {"app": name, "dry_run": dry_run, **_drop(store, gone, dry_run, with_app=False)}

    def gc(self, keep: int = 2, dry_run: bool = False) -> dict[str, Any]:
        """Throw away old releases of all apps. Answers ``removed``, ``blobs`` and ``freed_bytes``."""
        with self._alone():
            store = self._store
            gone = [release for app in store.apps() for release in old_releases(store.of(app), keep)]
            return {"keep": keep, "dry_run": dry_run, **_drop(store, gone, dry_run, with_app=True)}

    def pin(self, app: str | None, release: str, pinned: bool = True) -> dict[str, Any]:
        """Keep a release from :meth:`gc`, or stop keeping it."""
        with self._alone():
            return self._pin(app, release, pinned)

    def _pin(self, app: str | None, release: str, pinned: bool) -> dict[str, Any]:
        from dataclasses import replace

        store = self._store
        name = store.which_app(app)
        wanted = store.require(name, release)
        flags = wanted.flags | PINNED if pinned else wanted.flags & ~PINNED
        if flags != wanted.flags:
            store.switch([replace(r, flags=flags) if r is wanted else r for r in store.releases])
        return {"app": name, "release": wanted.id, "pinned": pinned}

    # runs

    def run(
        self,
        app: str | None = None,
        *,
        args: Sequence[str] | None = None,
        env: Mapping[str, str] | None = None,
        release: str | None = None,
        stdin: int | bytes | BinaryIO | None = None,  # noqa: ARG002  a shell command has none
        on_event: Callable[[Event], None] | None = None,
        timeout_s: float | None = None,
        memory_bytes: int | None = None,
        threads: int | None = None,
        **more: Any,
    ) -> RunResult:
        """Run an app's release through the firmware's shell and wait for its end."""
        options = (
            (env, "--env"),
            (memory_bytes, "--max-memory"),
            (threads, "--threads"),
            (more.get("runtime"), "--runtime"),
        )
        for given, option in options:
            if given:
                self._cannot(f"take {option} for a run", remedy=f"leave out {option}")
        wanted, bill = self._runnable(app, release)
        own = bill.app.args if args is None else args
        return self._shell.run(wanted, own, on_event, timeout_s or bill.app.timeout_s)

    def stop(self, app: str | None = None, *, run: str | None = None) -> dict[str, Any]:
        """Tell the firmware to end what runs of an app."""
        if run is not None:
            self._cannot("tell runs apart", remedy="leave out --run")
        wanted, _ = self._runnable(app, None)
        stopped = self._shell.stop(wanted)
        runs = [{"run": "", "app": wanted.app, "release": wanted.id}] if stopped else []
        return {"app": wanted.app, "stopped": runs, "service": False}

    def _runnable(self, app: str | None, release: str | None) -> tuple[Installed, Any]:
        """The release that is meant, and its bill, as the device has it."""
        from lading.errors import DeviceError
        from lading.firmware.release_file import BILL
        from lading_agent.bill import Bill, BillError

        store = self._store
        name = store.which_app(app)
        found = store.current(name) if release is None else store.require(name, release)
        if found is None:
            raise NoSuchRelease(f"{name} has no current release", remedy="push one: lading push BUNDLE DEVICE")
        piece = next((p for p in found.header.pieces if p.kind == BILL), None)
        data = store.files.read(slot_name(found.slot), piece.offset + piece.size) if piece is not None else None
        try:
            return found, Bill.parse((data or b"")[piece.offset :] if piece is not None else b"")
        except BillError as error:
            raise DeviceError(
                f"{self._smp.description}: the bill of {name} {found.id} is damaged on the device",
                remedy="push it again with --force",
            ) from error

    # what the device is

    def ping(self) -> None:
        """See whether the device answers."""
        from smpclient.requests.os_management import MCUMgrParametersRead

        from lading.errors import SmpRefused

        try:
            self._smp.ask(MCUMgrParametersRead())
        except SmpRefused:
            return

    def describe(self) -> dict[str, Any]:
        """The device's ``target`` and ``profile``, whole."""
        return {
            "target": dict(self.hello.target),
            "profile": self._profile.resolved() if self._profile is not None else {},
        }

    def facts(self) -> dict[str, Any]:
        """What the device says about itself: ``facts``, and the ``evidence`` of each."""
        from lading.errors import SmpRefused

        store: Store | None
        try:
            store = self._store
        except SmpRefused:
            store = None  # a firmware without files
        return {
            "facts": facts.gather(self._smp, store),
            "sources": {},
            "evidence": dict(facts.EVIDENCE),
            "emulated": False,
            "guests": False,
        }

    # what needs an agent

    def run_detached(self, app: str | None = None, **_options: Any) -> NoReturn:  # noqa: ARG002
        """Refused: nothing on the device keeps a run's output."""
        self._cannot("keep a run and its output", remedy="leave out --detach")

    def logs(self, app: str | None = None, **_options: Any) -> NoReturn:  # noqa: ARG002
        """Refused: nothing on the device keeps a run's output."""
        self._cannot("keep a run's output", remedy="use lading run, which shows it as it comes")

    def service(self, action: str, app: str | None = None) -> NoReturn:  # noqa: ARG002
        """Refused: what starts with the device is for its firmware to say."""
        self._cannot("be told what to start", remedy="have the firmware run the current release when it starts")

    def confirm(self, app: str | None = None) -> NoReturn:  # noqa: ARG002
        """Refused: nothing waits to be confirmed there."""
        self._cannot("take a release back by itself", remedy="every release that is current there stays so")

    def probe(self, guests: Sequence[bytes], models: Mapping[str, bytes] | None = None, **_options: Any) -> NoReturn:  # noqa: ARG002
        """Refused: its capabilities are those that its firmware profile declares."""
        self._cannot("run probe guests", remedy=ELSEWHERE)

    def fetch(self, app: str | None, path: str, sink: Callable[[bytes], object], **_options: Any) -> NoReturn:  # noqa: ARG002
        """Refused: guests have no state directories there."""
        self._cannot("give files that a guest wrote", remedy=ELSEWHERE)

    def __getattr__(self, name: str) -> Any:
        if name == "_connection":  # what the base class has to ask an agent
            self._cannot("do this: it has no agent", remedy=ELSEWHERE)
        raise AttributeError(name)

    def _cannot(self, what: str, *, remedy: str) -> NoReturn:
        raise Unsupported(f"{self._smp.description}: a microcontroller cannot {what}", remedy=remedy)


def _drop(store: Store, gone: Sequence[Installed], dry_run: bool, *, with_app: bool) -> dict[str, Any]:
    ids = {(release.app, release.id) for release in gone}
    left = store.used_slots(r for r in store.releases if (r.app, r.id) not in ids)
    freed = {slot: size for slot, size in store.used_slots().items() if slot not in left}
    leftovers = store.leftovers()
    if not dry_run:
        if gone or store.damaged:
            store.drop(gone)
        else:
            store.clean()
    return {
        "removed": [f"{r.app} {r.id}" if with_app else r.id for r in gone],
        "blobs": len(freed) + len(leftovers),
        "freed_bytes": store.room_for([*freed.values(), *leftovers.values()]),
    }


def _status_of(store: Store, app: str) -> dict[str, Any]:
    current = store.current(app)
    return {
        "current": _id(current),
        "variant": None if current is None else current.header.variant,
        "previous": _id(store.previous(app)),
        "releases": [release.id for release in store.of(app)],
        "pinned": [release.id for release in store.of(app) if release.pinned],
        "state_bytes": 0,
        "runs": [],
        "service": None,
        "pending": None,
    }


def _id(release: Installed | None) -> str | None:
    return release.id if release is not None else None
