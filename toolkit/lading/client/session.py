"""A session with a device: everything that can be asked of its agent."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Self

from lading.client import keeping, probing, pushing, running
from lading.client.connection import Connection
from lading.client.installing import install_engines, roll_back_engines
from lading.client.said import decoded, items, number
from lading.errors import LinkLost
from lading_agent.wire.frames import DATA, MESSAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import BinaryIO

    from lading.bootstrap.check import Check
    from lading.client.events import Event
    from lading.client.installing import InstalledEngines
    from lading.client.probing import ProbedGuest
    from lading.client.pushing import Cargo
    from lading.client.results import PushResult, RunResult
    from lading.engines import EnginePart
    from lading.links.base import Link
    from lading_agent.wire.hello import Hello


class Session:
    """An open connection to a device's agent; use it in a ``with`` statement.

    Several requests may be under way at once, from several threads.
    """

    def __init__(self, link: Link) -> None:
        try:
            self._connection = Connection(link)
        except BaseException:
            link.close()
            raise
        self._link = link

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the session. What is under way on the device stops."""
        self._connection.close()

    @property
    def hello(self) -> Hello:
        """What the agent said first: version, limits, target, firmware profile."""
        return self._connection.hello

    @property
    def round_trips(self) -> int:
        """Questions put to the device so far whose answer had to be waited for."""
        return self._connection.round_trips

    def push(
        self,
        bundle: Cargo,
        *,
        variant: str = "default",
        keep: int | None = None,
        force: bool = False,
        dry_run: bool = False,
        confirm_within_s: float | None = None,
        runtime: str | None = None,
        judged: Sequence[Mapping[str, Any]] = (),
        progress: Callable[[int, int], None] | None = None,
        on_event: Callable[[str, Mapping[str, object]], None] | None = None,
    ) -> PushResult:
        """Bring a bundle onto the device, try it there, and make it the current release.

        Args:
            bundle: an open bundle. Its content is hashed on the device, as it arrives.
            variant: which of the bill's variants.
            keep: afterwards, throw away all but this many releases of the app.
            force: do it even if the release is current, and read again what the device has.
            dry_run: only say what would be sent.
            confirm_within_s: unless :meth:`confirm` comes within so many seconds, the device goes back by itself.
            runtime: the runtime that is to run it on the device, in place of the one in its bill.
            judged: what the check says of it on the device's own runtimes (see :mod:`lading.check.installed`); on one
                of those it is run only if that says yes.
            progress: called with octets sent, and octets to send.
            on_event: called with the name and members of what the device says (``golden``, ``smoke``, ``log``).

        Raises:
            BundleError: the bundle is damaged. Nothing was installed.
            GoldenMismatch, SmokeFailed: the device tried it and it was wrong; the old release is current.
            LockHeld, NoSpace, TooLarge, LinkLost: as their names say; the next push goes on where this one was.
        """
        return pushing.push(
            self._connection,
            bundle,
            variant=variant,
            keep=keep,
            force=force,
            dry_run=dry_run,
            confirm_within_s=confirm_within_s,
            runtime=runtime,
            judged=judged,
            progress=progress,
            on_event=on_event,
        )

    def run(
        self,
        app: str | None = None,
        *,
        args: Sequence[str] | None = None,
        env: Mapping[str, str] | None = None,
        release: str | None = None,
        stdin: int | bytes | BinaryIO | None = None,
        on_event: Callable[[Event], None] | None = None,
        timeout_s: float | None = None,
        memory_bytes: int | None = None,
        threads: int | None = None,
        runtime: str | None = None,
        allow_unknown: bool = False,
    ) -> RunResult:
        """Run an app's release and wait for its end.

        Args:
            app: the app; None for the only one.
            args: in place of the app's own.
            env: on top of the app's own.
            release: another one than the current.
            stdin: the guest's standard input: a descriptor, bytes or a file; None for an empty one.
            on_event: takes output, log, tensors and metrics as they come.
            timeout_s: seconds, in place of the app's own limit.
            memory_bytes: in place of the app's own limit; never above the target's.
            threads: interpreter threads, in place of the app's own.
            runtime: in place of the one that it was deployed for.
            allow_unknown: also on a runtime of the device's own for which nobody knows whether it works.

        Returns:
            How it ended, also when the host ended it.
        """
        request = running.request(
            app, args, env, release, timeout_s, memory_bytes, threads, runtime=runtime, allow_unknown=allow_unknown
        )
        return running.run(self._connection, request, stdin, on_event)

    def run_guest(
        self,
        guest: bytes,
        app: str | None = None,
        *,
        release: str | None = None,
        stdin: int | bytes | BinaryIO | None = None,
        on_event: Callable[[Event], None] | None = None,
        timeout_s: float | None = None,
        memory_bytes: int | None = None,
        threads: int | None = None,
    ) -> RunResult:
        """Run a module of ours among the models of an app's release; nothing of it stays on the device.

        It meets the models byte for byte (int8 tensors as u8, no state tensors) on lading's own host, and nothing else
        of the release.

        Args:
            guest: the module, at most 1 MiB.
            app: as the other arguments, see :meth:`run`.
        """
        keeping.require(self._connection, "guest")
        request = running.request(app, None, None, release, timeout_s, memory_bytes, threads)
        return running.run(self._connection, request, stdin, on_event, guest)

    def run_detached(
        self,
        app: str | None = None,
        *,
        args: Sequence[str] | None = None,
        env: Mapping[str, str] | None = None,
        release: str | None = None,
        timeout_s: float | None = None,
        memory_bytes: int | None = None,
        threads: int | None = None,
        runtime: str | None = None,
        allow_unknown: bool = False,
    ) -> dict[str, Any]:
        """Start an app's release and leave it to the device; arguments as :meth:`run`.

        Returns:
            ``run`` (its number), ``app``, ``release``, ``state``, ``pid`` …
        """
        request = running.request(
            app, args, env, release, timeout_s, memory_bytes, threads, runtime=runtime, allow_unknown=allow_unknown
        )
        return keeping.detach(self._connection, request)

    def logs(
        self,
        app: str | None = None,
        *,
        run: str | None = None,
        lines: int | None = None,
        follow: bool = False,
        on_event: Callable[[Event], None],
        on_begin: Callable[[Mapping[str, Any]], None] | None = None,
    ) -> dict[str, Any]:
        """Read what a detached run, or a service, has written.

        Args:
            app: the app; None for the only one.
            run: the run's number, or ``service``; None for the newest run that goes on, else the service, else the
                newest run.
            lines: only the last so many lines.
            follow: go on until the run ends.
            on_event: takes :class:`~lading.client.events.Output`, ``Log`` and ``Lost`` as they come.
            on_begin: told first which run it is.

        Returns:
            How the run stands; once it has ended, with ``outcome``, ``status``, ``kind``, ``message``, ``metrics``.
        """
        return keeping.logs(
            self._connection, app, run=run, lines=lines, follow=follow, on_event=on_event, on_begin=on_begin
        )

    def stop(self, app: str | None = None, *, run: str | None = None) -> dict[str, Any]:
        """End detached runs and the service of an app, or one of them. Answers ``stopped`` (runs) and ``service``."""
        keeping.require(self._connection, "detach")
        return self._connection.ask("stop", app=app, run=run)

    def service(self, action: str, app: str | None = None) -> dict[str, Any]:
        """``enable``, ``disable`` or tell the ``status`` of an app's service: the current release, from the start."""
        keeping.require(self._connection, "service")
        return self._connection.ask("service", action=action, app=app)

    def confirm(self, app: str | None = None) -> dict[str, Any]:
        """The current release stays. Answers ``release``, ``confirmed`` (now, not before) and ``left_s``.

        Raises:
            NotPending: the device went back already, or nothing ever waited.
        """
        keeping.require(self._connection, "confirm")
        return self._connection.ask("confirm", app=app)

    def ping(self) -> None:
        """See whether the agent answers."""
        self._connection.ask("ping")

    def describe(self) -> dict[str, Any]:
        """The device's ``target`` and ``profile``, whole."""
        return self._connection.ask("describe")

    def runtimes(self) -> list[dict[str, Any]]:
        """The runtimes that the device has of its own.

        Returns:
            Of each ``name``, ``path``, ``version``, the ids of the firmware ``profiles`` that stand for that release,
            and whether that was ``measured``.
        """
        return items(self._connection.ask("runtimes"), "runtimes")

    def keep_measured(self, runtime: str, profile: str) -> None:
        """Have the device remember which firmware profile one of its runtimes was measured to have; "": forget it."""
        self._connection.ask("runtimes", name=runtime, measured=profile)

    def install_beside(
        self,
        parts: Sequence[EnginePart],
        check: Check,
        *,
        progress: Callable[[int, int], None] | None = None,
        on_event: Callable[[str, Mapping[str, object]], None] | None = None,
    ) -> InstalledEngines:
        """Bring engines that apps ask for by their versions; the device's default set stays what it is.

        Args:
            parts: runner, wasmtime and litert.
            check: the inference that the device has to get right with them.
            progress: called with octets sent, and octets to send.
            on_event: called with what else the device says.

        Raises:
            EngineFailed: the device tried them, and they do not work there.
        """
        return install_engines(self._connection, parts, check, beside=True, progress=progress, on_event=on_event)

    def roll_back_engines(self) -> dict[str, Any]:
        """Make the device's set of engines before the default one the default.

        Returns:
            ``parts``: all that it holds; ``current`` and ``previous``: the parts of the sets now.

        Raises:
            DeviceError: there is no earlier set.
        """
        return roll_back_engines(self._connection)

    def facts(self) -> dict[str, Any]:
        """What the device is: ``facts``, the ``sources`` that they were read from, and whether it is ``emulated``."""
        return self._connection.ask("facts")

    def probe(
        self,
        guests: Sequence[bytes],
        models: Mapping[str, bytes] | None = None,
        *,
        at_once: int = 1,
        timeout_s: float | None = None,
        runtime: str | None = None,
        on_guest: Callable[[], None] | None = None,
    ) -> list[ProbedGuest]:
        """Run small modules on the device's own runtime, each in a process of its own; nothing of them is kept.

        Args:
            guests: the modules.
            models: models that they may load by name.
            at_once: how many may run at the same time.
            timeout_s: seconds for each.
            runtime: one of the device's own runtimes, in place of lading's.
            on_guest: called as each of them has ended.
        """
        return probing.probe(
            self._connection,
            guests,
            models or {},
            at_once=at_once,
            timeout_s=timeout_s,
            runtime=runtime,
            on_guest=on_guest,
        )

    def status(self, app: str | None = None) -> dict[str, Any]:
        """What the device holds: ``apps`` (by name), ``disk``, ``lock``."""
        return self._connection.ask("status", app=app)

    def releases(self, app: str | None = None) -> dict[str, Any]:
        """An app's ``releases``, the last current first, and its ``history``."""
        return self._connection.ask("releases", app=app)

    def rollback(self, app: str | None = None, to: str | None = None) -> dict[str, Any]:
        """Make an earlier release current: the previous one, or ``to``. Answers ``current`` and ``previous``."""
        return self._connection.ask("rollback", app=app, to=to)

    def remove(self, app: str, release: str | None = None, dry_run: bool = False) -> dict[str, Any]:
        """Throw away one release, or the app with its releases and state. Answers ``removed`` and ``freed_bytes``."""
        return self._connection.ask("remove", app=app, release=release, dry_run=dry_run)

    def gc(self, keep: int = 2, dry_run: bool = False) -> dict[str, Any]:
        """Throw away old releases of all apps. Answers ``removed``, ``blobs`` and ``freed_bytes``."""
        return self._connection.ask("gc", keep=keep, dry_run=dry_run)

    def pin(self, app: str | None, release: str, pinned: bool = True) -> dict[str, Any]:
        """Keep a release from :meth:`gc`, or stop keeping it."""
        return self._connection.ask("pin", app=app, release=release, pinned=pinned)

    def fetch(
        self,
        app: str | None,
        path: str,
        sink: Callable[[bytes], object],
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> int:
        """Bring a file that a guest wrote.

        Args:
            app: the app; None for the only one.
            path: the file as the guest names it.
            sink: takes the bytes as they come.
            progress: called with octets received, and octets to receive.

        Returns:
            The file's size in octets.

        Raises:
            NoSuchFile: there is no such file in the app's state directories.
            LinkLost: what arrived is not what was sent.
        """
        hasher = hashlib.sha256()
        done = total = 0
        with self._connection.call("fetch", {"app": app, "path": path}) as call:
            self._connection.round_trips += 1
            for frame in call:
                if frame.kind == MESSAGE:
                    total = number(decoded(frame.payload), "bytes", total)
                elif frame.kind == DATA:
                    sink(frame.payload)
                    hasher.update(frame.payload)
                    done += len(frame.payload)
                if progress is not None:
                    progress(done, max(done, total))
            if call.reply.get("digest") != f"sha256:{hasher.hexdigest()}":
                raise LinkLost(f"{self._link.description}: {path} arrived damaged", remedy="fetch it again")
        return done
