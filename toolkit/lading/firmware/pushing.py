"""A push to a microcontroller: pieces into free slots, compared there, tried by smoke runs, then the switch."""

from __future__ import annotations

import io
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, Final

from lading.client.events import Output
from lading.client.results import PushResult
from lading.errors import BundleError, DeviceError, LadingError, NoSpace, SmokeFailed, Unsupported
from lading.firmware import release_file
from lading.firmware.files import is_no_space
from lading.firmware.pointer import CURRENT
from lading.firmware.release_file import HERE, Header, Piece
from lading.firmware.store import Installed, slot_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lading.client.events import Event
    from lading.client.pushing import Cargo
    from lading.firmware.shell import Shell
    from lading.firmware.store import Store
    from lading_agent.bill import Smoke

ALIGN: Final = 16
"""What lies in a release file begins at a multiple of this: models want it."""


@dataclass
class _Want:
    """One file that the release needs."""

    content: Callable[[], BinaryIO]
    size: int
    slot: int = -1
    offset: int = 0
    """Octets that the device has of it."""
    there: bool = False
    """All of it is there, and was compared."""


class Push:
    """One push. Nothing that a release needs is touched before the switch.

    Args:
        store: what the device holds.
        shell: runs smoke runs.
        bundle: what is pushed.
        variant: which of the bill's variants.
        progress: called with octets written, and octets to write.
        on_event: told of smoke runs and warnings.
    """

    def __init__(
        self,
        store: Store,
        shell: Shell,
        bundle: Cargo,
        variant: str,
        progress: Callable[[int, int], None] | None,
        on_event: Callable[[str, Mapping[str, object]], None] | None,
    ) -> None:
        self._store = store
        self._shell = shell
        self._bundle = bundle
        self._variant = variant
        self._progress = progress or (lambda _done, _total: None)
        self._tell = on_event or (lambda _name, _members: None)
        self._bill = bundle.bill
        self._done = self._total = 0
        self._smoke_done: list[dict[str, object]] = []

    @property
    def _before(self) -> Installed | None:
        return self._store.current(self._bill.app.name)

    def run(self, *, keep: int | None, force: bool, dry_run: bool) -> PushResult:
        """Do it; see ``Session.push``."""
        store, app = self._store, self._bill.app.name
        before = self._before
        known = next((r for r in store.of(app) if r.id == self._bill.release), None)
        if known is not None and known.header.variant != self._variant:
            known = None
        if known is not None and known.current and not force:
            return self._result(already_current=True, present=known, dry_run=dry_run)
        if known is not None and self._whole(known):
            if not dry_run:
                self._bring_in(known, keep)
            return self._result(
                already_current=known.current, present=known, dry_run=dry_run, previous=before, smoke=self._smoke_done
            )
        leftovers = store.leftovers()
        wants = self._pieces()
        taken = set(store.used_slots())
        self._place(list(wants.values()), leftovers, taken)
        header = self._header({digest: want.slot for digest, want in wants.items()})
        whole = _Want(lambda: io.BytesIO(self._file(header)), header.file_size)
        self._place([whole], leftovers, taken)
        missing = [want for want in (*wants.values(), whole) if not want.there]
        self._see_that_it_fits(missing)
        self._total = sum(want.size - want.offset for want in missing)
        result = PushResult(
            app=app,
            release=self._bill.release,
            variant=self._variant,
            already_current=False,
            previous=before.id if before is not None else None,
            sent_blobs=len(missing),
            sent_bytes=self._total,
            resumed_bytes=sum(want.offset for want in missing),
            present_blobs=sum(want.there for want in wants.values()),
            present_bytes=sum(want.size for want in wants.values() if want.there),
            dry_run=dry_run,
        )
        if dry_run:
            return result
        self._write(missing)
        self._bring_in(Installed(whole.slot, CURRENT, header), keep)
        return replace(result, smoke=self._smoke_done)

    # what it is made of

    def _contents(self) -> Iterator[tuple[int, str, str, int]]:
        """Kind, name, digest and size of everything that the firmware needs, but for the bill."""
        bill = self._bill
        variant = bill.variant(self._variant)
        yield release_file.MODULE, "", variant.module.digest, variant.module.size
        for model in variant.models:
            name = f"{model.name}@{model.version}" if model.version else model.name
            yield release_file.MODEL, name, model.digest, model.size
        for folder in bill.dirs:
            for file in folder.files:
                yield release_file.FILE, f"{folder.guest.rstrip('/')}/{file.path}", file.digest, file.size

    def _pieces(self) -> dict[str, _Want]:
        """The pieces that get a slot of their own, by digest."""
        return {
            digest: _Want(partial(self._bundle.open_blob, digest), size)
            for _, _, digest, size in self._contents()
            if size >= self._store.mcu.block_bytes
        }

    def _header(self, own: Mapping[str, int]) -> Header:
        """The header, its pieces where they will lie."""
        bill = self._bundle.bill_bytes
        listed = [Piece(release_file.BILL, "", release_file.sha256(bill), len(bill))]
        listed += [
            Piece(kind, name, bytes.fromhex(digest.removeprefix("sha256:")), size, own.get(digest, HERE))
            for kind, name, digest, size in self._contents()
        ]
        draft = Header(self._bill.app.name, self._bill.release, self._variant, tuple(listed))
        try:
            at = len(draft.encode())
        except ValueError as error:
            raise BundleError(f"{self._bill.app.name}: {error}", remedy="use fewer or shorter names") from error
        offsets: dict[bytes, int] = {}
        placed = []
        for piece in listed:
            if piece.slot == HERE:
                if piece.sha256 not in offsets:
                    at = -(-at // ALIGN) * ALIGN
                    offsets[piece.sha256] = at
                    at += piece.size
                placed.append(replace(piece, offset=offsets[piece.sha256]))
            else:
                placed.append(piece)
        return replace(draft, pieces=tuple(placed), file_size=at)

    def _file(self, header: Header) -> bytes:
        """The release file."""
        data = bytearray(header.encode()).ljust(header.file_size, b"\0")
        for piece in header.pieces:
            if piece.slot == HERE:
                content = self._bundle.bill_bytes if piece.kind == release_file.BILL else self._read(piece)
                data[piece.offset : piece.offset + piece.size] = content
        return bytes(data)

    def _read(self, piece: Piece) -> bytes:
        with self._bundle.open_blob(piece.digest) as file:
            content = file.read(piece.size)
        if len(content) != piece.size or release_file.sha256(content) != piece.sha256:
            raise BundleError(f"the bundle is damaged: {piece.digest}", remedy="pack it again, or fetch it again")
        return content

    # where it goes

    def _whole(self, release: Installed) -> bool:
        """Whether everything of an installed release is as it was sent, compared on the device."""
        header = self._header({p.digest: p.slot for p in release.header.pieces if p.slot != HERE})
        if header != release.header:
            return False
        own = {p.slot: p for p in release.header.pieces if p.slot != HERE}
        for slot, piece in own.items():
            with self._bundle.open_blob(piece.digest) as content:
                if not self._same(slot, content, piece.size):
                    return False
        return self._same(release.slot, io.BytesIO(self._file(header)), header.file_size)

    def _same(self, slot: int, content: BinaryIO, size: int) -> bool:
        name = slot_name(slot)
        return self._store.files.length(name) == size and self._store.files.same(name, content, size)

    def _place(self, wants: list[_Want], leftovers: Mapping[int, int], taken: set[int]) -> None:
        """Give every file a slot: the one that has it, one that has its beginning, or a free one."""
        for want in wants:
            self._find(want, leftovers, taken)
        for want in wants:
            if want.slot < 0:
                free = [slot for slot in range(self._store.mcu.slots) if slot not in taken]
                if not free:
                    raise self._no_space(f"all {self._store.mcu.slots} slots are used")
                want.slot = next((slot for slot in free if slot not in leftovers), free[0])
                taken.add(want.slot)

    def _find(self, want: _Want, leftovers: Mapping[int, int], taken: set[int]) -> None:
        """See whether the device has a file, or what an interrupted push left of it."""
        with want.content() as content:
            for slot, size in self._store.used_slots().items():
                if size == want.size and self._same(slot, content, size):
                    want.slot, want.there = slot, True
                    return
            for slot, length in leftovers.items():
                if slot in taken or length > want.size:
                    continue
                if self._store.files.same(slot_name(slot), content, length):
                    want.slot, want.offset = slot, length
                    taken.add(slot)
                    return

    def _see_that_it_fits(self, missing: list[_Want]) -> None:
        store = self._store
        if store.mcu.storage_bytes is None:
            return
        needed = store.room_for(want.size for want in missing)
        free = store.free_bytes or 0
        if needed > free:
            raise self._no_space(f"{needed} octets are needed, {free} of {int(store.mcu.storage_bytes)} are free")

    def _no_space(self, why: str) -> NoSpace:
        before = self._before
        some = "remove a release that is not needed: lading releases DEVICE, lading remove DEVICE APP --release RELEASE"
        none = "nothing is installed that could make room: use smaller models, or a device with more storage"
        return NoSpace(
            f"{self._store.label}: no space for {self._bill.app.name} {self._bill.release}: {why}",
            remedy=some if self._store.releases else none,
            details={"current": before.id if before is not None else None},
        )

    # the way there

    def _write(self, missing: list[_Want]) -> None:
        store = self._store
        store.clean(but=(want.slot for want in missing if want.offset))
        try:
            for want in missing:
                store.see_that_nobody_changed_it()
                self._write_one(want)
        except DeviceError as error:
            if not is_no_space(error):
                raise
            store.see_that_nobody_changed_it()
            with suppress(LadingError):
                store.clean()
            raise self._no_space("the file system is full") from error

    def _write_one(self, want: _Want) -> None:
        files, name = self._store.files, slot_name(want.slot)
        with want.content() as content:
            try:
                if want.offset < want.size:
                    files.write(name, content, want.size, want.offset, self._wrote)
            except DeviceError as error:
                # Going on with a beginning that was made to last needs room for a second copy of its last block.
                if not is_no_space(error) or (not want.offset and want.size <= self._store.mcu.sync_bytes):
                    raise
                files.empty(name)
                self._total += want.offset
                self._done = max(0, self._done - want.size)
                files.write(name, content, want.size, 0, self._wrote, in_one_go=True)
            if not self._same(want.slot, content, want.size):
                files.empty(name)
                files.write(name, content, want.size, 0, self._wrote, in_one_go=True)
                if not self._same(want.slot, content, want.size):
                    files.empty(name)
                    raise DeviceError(
                        f"{self._store.label}: {files.path(name)} is not what was written to it, twice",
                        remedy="see whether the flash is worn or the line damages what is sent",
                    )

    def _wrote(self, octets: int) -> None:
        self._done += octets
        self._progress(self._done, max(self._done, self._total))

    def _bring_in(self, release: Installed, keep: int | None) -> None:
        """Try the release, make it current, give back what is not needed any more."""
        store = self._store
        before = store.releases
        smoke = self._bill.smoke
        if smoke and not self._shell.runs:
            text = "smoke runs are left out: the firmware profile names no command that runs something"
            self._tell("log", {"level": "warning", "text": text})
            smoke = ()
        try:
            if smoke and self._shell.runs_any_release:
                self._try(release, smoke)
                smoke = ()
        except LadingError:
            with suppress(LadingError):
                store.clean()
            raise
        try:
            store.switch(store.made_current(release))
        except NoSpace as error:
            store.clean()
            raise self._no_space(error.message) from error
        try:
            self._try(store.releases[0], smoke)
        except (LadingError, KeyboardInterrupt) as error:
            store.switch(before)
            store.clean()
            if isinstance(error, LadingError):
                error.details["current"] = next((r.id for r in before if r.app == release.app and r.current), None)
            raise
        gone = old_releases(store.of(release.app), keep) if keep is not None else []
        if gone:
            store.drop(gone)
        else:
            store.clean()

    def _try(self, release: Installed, smoke: tuple[Smoke, ...]) -> None:
        before = self._before
        for index, wanted in enumerate(smoke):
            output = bytearray()
            try:
                result = self._shell.run(release, wanted.args, partial(_gather, output), None)
            except Unsupported as error:
                raise SmokeFailed(error.message, remedy=error.remedy) from error
            text = output.decode("utf-8", "replace")
            fits = wanted.stdout is None or re.search(wanted.stdout, text) is not None
            done = {
                "index": index,
                "args": list(wanted.args),
                "exit": result.status,
                "ok": result.status == wanted.exit and fits,
            }
            self._tell("smoke", done)
            if not done["ok"]:
                why = (
                    f"ended with {result.status} instead of {wanted.exit}"
                    if result.status != wanted.exit
                    else f"did not write what fits {wanted.stdout!r}"
                )
                raise SmokeFailed(
                    f"{self._store.label}: smoke run {index + 1} of {release.app} {release.id} {why}",
                    remedy="see what it wrote: " + (text[-400:] or "nothing"),
                    details={**done, "output": text[-4000:], "current": before.id if before is not None else None},
                )
            self._smoke_done.append(done)

    def _result(
        self,
        *,
        already_current: bool,
        present: Installed,
        dry_run: bool,
        previous: Installed | None = None,
        smoke: list[dict[str, object]] | None = None,
    ) -> PushResult:
        before = previous or self._store.previous(self._bill.app.name)
        return PushResult(
            app=self._bill.app.name,
            release=self._bill.release,
            variant=self._variant,
            already_current=already_current,
            previous=before.id if before is not None else None,
            sent_blobs=0,
            sent_bytes=0,
            resumed_bytes=0,
            present_blobs=len(present.files()),
            present_bytes=sum(present.files().values()),
            smoke=smoke or [],
            dry_run=dry_run,
        )


def _gather(output: bytearray, event: Event) -> None:
    if isinstance(event, Output):
        output += event.data


def old_releases(releases: list[Installed], keep: int) -> list[Installed]:
    """What goes when ``keep`` releases of an app stay: never the current one, the one before, or a pinned one."""
    return [r for r in releases[max(keep, 1) :] if not (r.current or r.pinned or r.previous)]
