"""The main path: pack, check, push, run; on one device or on several at once."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lading.bootstrap.beside import with_engines
from lading.check import gate
from lading.errors import LadingError, UsageError
from lading_agent.bill import DEFAULT_VARIANT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from lading.bootstrap.stages import Stage
    from lading.bundle.reader import Bundle
    from lading.check.verdict import Verdict
    from lading.client import PushResult, RunResult, Session
    from lading.datafiles import Skipped
    from lading.devices import Device
    from lading.opening import Opening
    from lading.variants.choose import Choice, Judge
    from lading_agent.bill import Bill


@dataclass(frozen=True)
class Deployed:
    """What became of a deploy to one device."""

    device: str
    push: PushResult | None = None
    run: RunResult | None = None
    error: LadingError | None = None
    checked: bool = False
    """Whether a check against the device's capabilities came before the push."""
    verdict: Verdict | None = None
    """What that check said."""
    choice: Choice | None = None
    """Which variant it was, and which were not."""
    round_trips: int = 0
    """Questions put to the device, each waited for."""

    @property
    def ok(self) -> bool:
        """Whether the device has the release and, if it was run, the app ended well."""
        return self.error is None and (self.run is None or self.run.status == 0)


@dataclass(frozen=True)
class DeployOptions:
    """How to deploy. ``args`` stands for the app's own arguments when it is None."""

    run: bool = True
    args: Sequence[str] | None = None
    force: bool = False
    keep: int | None = None
    dry_run: bool = False
    check: bool = False
    """Hold the app against the device's firmware profile first, and send nothing that will not work there."""
    allow_unknown: bool = False
    """Send also what the check knows nothing of."""
    runtime: str | None = None
    """The runtime that is to run it on the device, in place of the one that its bill names."""
    variant: str | None = None
    """The variant that is to be sent; None: the best of those that the check says will work."""
    native: bool = False
    """Send also what is compiled ahead without being asked for it by ``variant``: no engine looks machine code over, so
    whoever made the bundle has to be trusted with the device."""
    confirm_within_s: float | None = None
    """The device goes back by itself unless the release is confirmed within so many seconds."""


class Watcher:
    """What a deploy tells on its way; the CLI overrides these. They are called from one thread a device."""

    def stage(self, device: str, text: str) -> None:
        """A stage begins, or has something to say."""

    def bringing(self, device: str, stage: Stage) -> None:
        """The device lacks something of lading's own, which is brought there first."""

    def pushed(self, device: str, push: PushResult) -> None:
        """The release is on the device and current (or would be, in a dry run)."""

    def progress(self, device: str, done: int, total: int) -> None:
        """Bytes sent so far, of those that are missing on the device."""

    def event(self, device: str, event: Any) -> None:
        """An event of a run (see ``lading.client.events``)."""


def prepare(
    path: Path, *, progress: Callable[[str, int, int], None] | None = None, skipped: Skipped | None = None
) -> Path:
    """The bundle to deploy: ``path`` itself when it is one, else what packing the project gives, with its variants.

    Args:
        path: a bundle, or a project's folder.
        progress: told of the stages.
        skipped: told of each firmware profile that cannot be used, and for which no variant is made therefore.

    Raises:
        UsageError: neither a project nor a bundle.
        ProjectError: the project cannot be packed.
        BundleError: the bundle is damaged; all of it is read, so that no device sees any of it.
    """
    from lading.bundle import inspect_bundle, pack
    from lading.project import PROJECT_FILE, load_project

    if path.is_file():
        inspect_bundle(path, progress=lambda done, total: progress("verify", done, total) if progress else None)
        return path
    if not (path / PROJECT_FILE).is_file():
        raise UsageError(
            f"{path} is neither a bundle nor a folder with {PROJECT_FILE}",
            remedy="give a project folder or a .lading file; `lading init` makes a project",
        )
    from lading.variants.packing import Packer, Wanted

    return pack(load_project(path), variants=Packer(Wanted(), skipped=skipped), progress=progress).path


def deploy_many(
    bundle: Path,
    devices: Sequence[Device],
    options: DeployOptions,
    watcher: Watcher | None = None,
    opening: Opening | None = None,
) -> list[Deployed]:
    """Deploy one bundle to several devices at once, over what is being opened; each result stands for itself."""
    watcher = watcher or Watcher()
    if len(devices) == 1:
        return [deploy_one(bundle, devices[0], options, watcher, opening=opening)]
    with ThreadPoolExecutor(max_workers=min(len(devices), 16), thread_name_prefix="deploy") as pool:
        return list(pool.map(lambda device: deploy_one(bundle, device, options, watcher, opening=opening), devices))


def deploy_one(
    bundle: Path,
    device: Device,
    options: DeployOptions,
    watcher: Watcher,
    session: Session | None = None,
    opening: Opening | None = None,
) -> Deployed:
    """Deploy to one device, over a session with it where there is one, or one that is being opened.

    Errors of lading's own end up in the result.
    """
    from lading.bundle import open_bundle

    name = str(device)
    push: PushResult | None = None
    verdict: Verdict | None = None
    choice: Choice | None = None

    def note(said: Choice) -> None:
        nonlocal verdict, choice
        verdict, choice = said.nearest.verdict, said

    try:
        with (
            open_bundle(bundle) as opened,
            _session(device, session, opening, lambda stage: watcher.bringing(name, stage)) as session,
        ):
            judged = _checked(opened, session, device, options, note)
            variant = choice.nearest.variant if choice else DEFAULT_VARIANT
            watcher.stage(name, gate.said(verdict) if verdict else _UNCHECKED)
            if choice and choice.why():
                watcher.stage(name, choice.why())
            push = with_engines(
                session,
                opened.bill.engines,
                lambda: session.push(
                    opened,
                    variant=variant,
                    force=options.force,
                    keep=options.keep,
                    dry_run=options.dry_run,
                    confirm_within_s=options.confirm_within_s,
                    runtime=options.runtime,
                    judged=judged,
                    on_event=lambda event, members: _warned(watcher, name, event, members),
                    progress=lambda done, total: watcher.progress(name, done, total),
                ),
                device,
                dry_run=options.dry_run,
                on_stage=lambda stage: watcher.bringing(name, stage),
            )
            watcher.pushed(name, push)
            run: RunResult | None = None
            if options.run and not options.dry_run:
                run = session.run(
                    opened.bill.app.name, args=options.args, on_event=lambda event: watcher.event(name, event)
                )
            return Deployed(name, push, run, None, verdict is not None, verdict, choice, session.round_trips)
    except LadingError as error:
        return Deployed(name, push, None, error, verdict is not None, verdict, choice)


def _session(
    device: Device, session: Session | None, opening: Opening | None, on_stage: Callable[[Stage], None]
) -> contextlib.AbstractContextManager[Session]:
    from lading.client import connect

    if session is not None:
        return contextlib.nullcontext(session)
    return (opening.take(device) if opening is not None else None) or connect(device, on_stage=on_stage)


_UNCHECKED = "not checked: nothing has compared the app with what this device can do"


def _checked(
    bundle: Bundle, session: Session, device: Device, options: DeployOptions, note: Callable[[Choice], None]
) -> list[dict[str, Any]]:
    """Check the runtime that the app is for, and ``note`` the variant; answers what the device keeps of all it has.

    On a runtime of the device's own an app is always checked: only what passes is run there. Where there are several
    variants, the check chooses, also when nobody asked for it.

    Raises:
        CheckRefused: it must not be sent.
        UsageError: there is no variant of that id.
    """
    from lading.check import installed
    from lading.devices import EmulatedDevice

    bill = bundle.bill
    wanted = options.runtime or bill.app.runtime
    emulated = isinstance(device, EmulatedDevice)
    own = emulated or wanted == installed.OWN
    variant = DEFAULT_VARIANT
    if own and (options.check or options.variant or len(bill.variants) > 1):
        profile, judge_one = gate.device_judge(bundle, session, device)
        variant = _chosen(bill, judge_one, profile, options, note, str(device), checked=options.check)
    if emulated or (own and not (options.check and _has_runtimes(session))):
        return []
    there = session.runtimes() if _has_runtimes(session) else []
    if not own:
        runtime = installed.find(there, wanted, str(device))
        variant = _chosen(
            bill,
            lambda one: installed.runtime_verdict(bundle, session, device, runtime, one),
            next(iter(runtime.get("profiles") or ()), ""),
            options,
            note,
            f"{wanted} on {device}",
            checked=True,
        )
    return [
        installed.judged(
            runtime,
            installed.runtime_verdict(bundle, session, device, runtime, variant),
            allow_unknown=options.allow_unknown,
        )
        for runtime in there
    ]


def _chosen(
    bill: Bill,
    judge_one: Judge,
    profile: str,
    options: DeployOptions,
    note: Callable[[Choice], None],
    where: str,
    *,
    checked: bool,
) -> str:
    """Choose a variant and ``note`` it.

    Raises:
        CheckRefused: none may be sent.
    """
    from lading.variants import choose

    if options.variant is not None:
        choice = choose.forced(bill, options.variant, judge_one)
        note(choice)
        if checked:
            gate.refuse(choice.nearest.verdict, allow_unknown=options.allow_unknown)
        return choice.nearest.variant
    choice = choose.choose(bill, judge_one, profile=profile, native=options.native)
    if choice.chosen is None and (options.allow_unknown or not checked):
        choice = choice.with_unknown()
    note(choice)
    if choice.chosen is None and len(bill.variants) > 1:
        raise choose.refusal(choice, where)
    gate.refuse(choice.nearest.verdict, allow_unknown=options.allow_unknown or not checked)
    return choice.nearest.variant


def _has_runtimes(session: Session) -> bool:
    return any(f.startswith("runtime-") and f != "runtime-lading" for f in session.hello.features)


def _warned(watcher: Watcher, device: str, event: str, members: Mapping[str, object]) -> None:
    """What the device warns of while it takes a release."""
    if event == "log" and members.get("level") in ("warning", "error"):
        watcher.stage(device, str(members.get("text", "")))
