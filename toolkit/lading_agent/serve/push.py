"""Bringing a release onto the device and making it current."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Any, Dict, List, Optional

from lading_agent.bill import MAX_BILL_BYTES, Bill, BillError
from lading_agent.errors import AgentError
from lading_agent.serve import compiled, confirm, verify
from lading_agent.serve import judged as judgements
from lading_agent.serve.ahead import compile_ahead
from lading_agent.serve.receiving import Missing, receive
from lading_agent.serve.runtimes import OWN, acted, refuse_without_own, require
from lading_agent.serve.specs import refuse_missing_engines, refuse_too_large
from lading_agent.store import collect, install, space
from lading_agent.store.blobs import missing
from lading_agent.store.durable import remove_tree
from lading_agent.store.lock import locked
from lading_agent.store.releases import CANDIDATE, INSTALLED, Release, Releases, now

if TYPE_CHECKING:
    from lading_agent.serve.device import Served
    from lading_agent.serve.exchange import Exchange

IN_PLACE = "in-place"


def push(served: Served, exchange: Exchange) -> Dict[str, Any]:
    """Answer the request ``push``."""
    fields = exchange.fields
    variant = fields.text("variant", "default", limit=64)
    force = fields.flag("force")
    keep = fields.optional_integer("keep", low=1)
    within_s = fields.optional_seconds("confirm_within_s")
    bill_bytes = exchange.receive_bytes(fields.integer("bill_size", high=MAX_BILL_BYTES))
    if f"sha256:{hashlib.sha256(bill_bytes).hexdigest()}" != fields.text("bill_digest"):
        raise AgentError("bundle", "the bill does not have the digest that it was sent under", "pack the bundle again")
    try:
        bill = Bill.parse(bill_bytes)
        bill.variant(variant)
    except BillError as error:
        raise AgentError("bundle", f"the bill: {error}", error.remedy or "pack the bundle again") from error
    judged = judgements.judged_of(fields.raw("judged"))
    asked = fields.optional_text("runtime")
    runtime = asked or bill.app.runtime
    if not acted(served, runtime):
        judgements.refuse_unjudged(require(served, runtime), judged, bill.app.name, allow_unknown=False)
    compiled.refuse_elsewhere(bill.variant(variant), None if acted(served, runtime) else require(served, runtime))
    refuse_too_large(served, bill, variant)
    if runtime == OWN:
        refuse_missing_engines(served, bill)
        refuse_without_own(served, bill.app.name)
    if within_s is not None:
        confirm.refuse_without_previous(served, bill.app.name)
    job = _Push(served, exchange, bill, bill_bytes, variant, "" if runtime == bill.app.runtime else runtime, judged)
    if fields.flag("dry_run"):
        return job.look(force)
    if not force and job.is_current():
        judgements.keep_judged(served, bill.app.name, bill.release, judged)
        if within_s is not None and confirm.told(served, bill.app.name) is None:
            text = f"{bill.app.name} {bill.release} was current already: the device will not go back from it by itself"
            exchange.event("log", level="warning", text=text)
        return job.summary(already_current=True)
    with locked(served.layout.lock, exchange.owner, f"push of {bill.app.name} {bill.app.version}"):
        served.steps.reach("lock")
        collect.sweep(served.layout)
        result = job.do(force, keep, within_s)
        served.steps.reach("unlock")
    return result


class _Push:
    def __init__(
        self,
        served: Served,
        exchange: Exchange,
        bill: Bill,
        bill_bytes: bytes,
        variant: str,
        runtime: str,
        judged: List[Dict[str, Any]],
    ) -> None:
        self._served = served
        self._layout = served.layout
        self._steps = served.steps
        self._exchange = exchange
        self._bill = bill
        self._bill_bytes = bill_bytes
        self._variant = variant
        self._runtime = runtime
        self._judged = judged
        self._blobs = dict(sorted(bill.blobs(variant).items()))
        self._releases = Releases(served.layout, bill.app.name)
        self._sent: Dict[str, Any] = {"sent_blobs": 0, "sent_bytes": 0, "resumed_bytes": 0}
        self._timings: Dict[str, float] = {}

    def is_current(self) -> bool:
        """Whether there is nothing to do."""
        if self._releases.current() != self._bill.release:
            return False
        there = self._releases.read(self._bill.release)
        if there is None or there.state != INSTALLED or not self._is_same(there):
            return False
        if self._releases.bill_bytes(self._bill.release) != self._bill_bytes:
            return False
        return not missing(self._layout, self._blobs)

    def _is_same(self, there: Release) -> bool:
        """Whether what is there is for the same variant and runtime."""
        return (there.variant, there.runtime) == (self._variant, self._runtime)

    def look(self, force: bool) -> Dict[str, Any]:
        """Say what would be done."""
        wanted = missing(self._layout, self._blobs, distrust=force)
        self._check_space(wanted, collect_if_short=False)
        self._count(wanted)
        return self.summary(already_current=not force and self.is_current(), dry_run=True)

    def do(self, force: bool, keep: Optional[int], within_s: Optional[float]) -> Dict[str, Any]:
        """Do it. Whatever goes wrong, the old release stays current, and what arrived stays for the next time."""
        app = self._bill.app.name
        before = self._releases.current()
        wanted = missing(self._layout, self._blobs, distrust=force)
        self._steps.reach("space")
        self._check_space(wanted, collect_if_short=True)
        self._steps.reach("intent")
        collect.write_intent(self._layout, app, self._blobs)
        self._count(wanted)
        self._timed("transfer", lambda: self._receive(wanted))
        module = self._bill.variant(self._variant).module
        compiled.refuse_undeclared(self._bill.variant(self._variant), self._layout.blob(module.digest))
        release = self._install()
        try:
            judgements.keep_judged(self._served, app, release.id, self._judged)
            code = self._timed("compile", lambda: compile_ahead(self._served, self._exchange, self._bill, release))
            golden = self._timed("golden", lambda: self._verify("golden", release))
            smoke = self._timed("smoke", lambda: self._verify("smoke", release))
            self._exchange.check()
            if release.state != INSTALLED:
                self._steps.reach("installed")
                self._releases.mark_installed(release)
        except BaseException:
            if release.state == CANDIDATE:
                remove_tree(self._layout.release(app, release.id), self._layout.scratch())
            raise
        try:
            confirm.arm(self._served, self._exchange, app, release.id, within_s)
            self._releases.switch(release.id, self._steps)
        except BaseException:
            confirm.disarm(self._served, app)
            raise
        self._steps.reach("history")
        if before != release.id or not self._releases.history():
            self._releases.remember(release.id, "push", confirm.by(self._exchange))
        confirm.settle(self._served, app, release.id, within_s)
        self._steps.reach("clean")
        collect.forget_intent(self._layout, app)
        collected = (
            collect.keep_releases(self._layout, keep, apps=[app]) if keep else collect.drop_unneeded(self._layout)
        )
        return self.summary(previous=before, golden=golden, smoke=smoke, code=code, collected=collected.to_json())

    def summary(self, *, already_current: bool = False, previous: Optional[str] = None, **more: Any) -> Dict[str, Any]:
        """The reply."""
        present = len(self._blobs) - self._sent["sent_blobs"]
        size = sum(self._blobs.values()) - self._sent["sent_bytes"]
        return {
            "app": self._bill.app.name,
            "release": self._bill.release,
            "variant": self._variant,
            "runtime": self._runtime or self._bill.app.runtime,
            "already_current": already_current,
            "previous": self._releases.previous() if already_current else previous,
            "present_blobs": present,
            "present_bytes": size,
            "pending": confirm.told(self._served, self._bill.app.name),
            "timings": self._timings,
            **self._sent,
            **more,
        }

    def _count(self, wanted: Missing) -> None:
        self._sent["sent_blobs"] = len(wanted)
        self._sent["sent_bytes"] = sum(size - offset for _, size, offset in wanted)
        self._sent["resumed_bytes"] = sum(offset for _, _, offset in wanted)

    def _check_space(self, wanted: Missing, *, collect_if_short: bool) -> None:
        need = sum(size - offset for _, size, offset in wanted)
        new = self._releases.read(self._bill.release) is None
        need += len(self._bill_bytes) if new else 0
        inodes = len(wanted) + (install.inodes_needed(self._bill) if new else 0)
        try:
            space.require(space.measure(self._layout.home, self._served.storage_bytes), need, inodes)
        except AgentError:
            if not collect_if_short:
                raise
            # What can be made again, and what other, unfinished pushes brought, may go before this one is refused.
            self._layout.code.keep(())
            collect.drop_unneeded(self._layout, intents=False, also=self._blobs)
            space.require(space.measure(self._layout.home, self._served.storage_bytes), need, inodes)

    def _receive(self, wanted: Missing) -> None:
        receive(self._layout, self._steps, self._exchange, self._blobs, wanted)

    def _install(self) -> Release:
        bill = self._bill
        there = self._releases.read(bill.release)
        installed = there is not None and there.state == INSTALLED
        if not installed and self._releases.current() != bill.release:
            collect.prepare_app(self._layout, bill.app.name)
            return install.install(
                self._layout, bill, self._bill_bytes, self._variant, self._steps, runtime=self._runtime
            )
        # What may be current is put in order where it is, file by file. Another variant of a release is the same
        # directory: it changes with its release.json, in one rename, once it has proved itself.
        self._steps.reach("release-build")
        install.refresh(self._layout, bill, self._bill_bytes)
        if there is not None and installed and self._is_same(there):
            return there
        return Release(bill.app.name, bill.release, self._variant, IN_PLACE, self._blobs, now(), self._runtime)

    def _verify(self, step: str, release: Release) -> List[Dict[str, Any]]:
        self._exchange.check()
        self._steps.reach(step)
        try:
            found = getattr(verify, step)(self._served, self._exchange, self._bill, release)
        except AgentError as error:
            error.details["current"] = self._releases.current()
            raise
        return found  # type: ignore[no-any-return]

    def _timed(self, name: str, do: Any) -> Any:
        begin = time.monotonic()
        try:
            return do()
        finally:
            self._timings[f"{name}_ms"] = round((time.monotonic() - begin) * 1e3, 3)
