"""Traces of bundles, kept in the user's cache: the same guest, models and arguments give the same trace."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lading.errors import ModuleError
from lading.trace.document import SCHEMA, Trace, TraceError
from lading.trace.record import Answers, record
from lading.trace.subject import bundle_subject, cache_key
from lading_agent.ahead import ahead_of

if TYPE_CHECKING:
    from lading.bundle.reader import Bundle
    from lading_agent.bill import Bill, Variant

MOST_KEPT: Final = 200
TIME_S: Final = 15.0
"""How long a guest is watched before it is deployed: one that goes on for ever has shown by then what it does."""

_ONE_AT_A_TIME: Final = threading.Lock()
_MOST_BYTES: Final = 64 * 1024 * 1024


def cache_dir() -> Path:
    """The folder of kept traces."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("lading", appauthor=False)) / "traces"


def bundle_trace(bundle: Bundle, variant_id: str = "default", *, project_dir: Path | None = None) -> Trace:
    """The trace of a bundle's guest: the kept one, or a new one.

    Raises:
        BundleError: a content is damaged.
        ModuleError: the module is malformed.
    """
    ahead = ahead_of(bundle.bill.variant(variant_id))
    if ahead is not None:  # machine code shows nothing: the module that it was made of does
        variant_id = ahead.portable
    with _ONE_AT_A_TIME:  # several devices want the same trace at the same moment
        found = kept(bundle.bill, variant_id)
        if found is not None:
            return found
        with tempfile.TemporaryDirectory(prefix="lading-trace-") as scratch:
            subject = bundle_subject(bundle, Path(scratch), variant_id)
            answers = answers_of(bundle.bill.variant(variant_id))
            try:
                trace = record(subject, project_dir=project_dir, time_s=TIME_S, run_without_nn=False, answers=answers)
            except ModuleError as error:
                said = f"{bundle.path.name}: variant '{variant_id}': {error.message}"
                raise ModuleError(said, remedy=error.remedy, details=error.details) from None
        keep(bundle.bill, variant_id, trace)
        return trace


def kept(bill: Bill, variant_id: str = "default") -> Trace | None:
    """The trace that was kept of a bill's guest; None when there is none."""
    return _read(_place(bill, variant_id))


def keep(bill: Bill, variant_id: str, trace: Trace) -> None:
    """Keep a trace for the next time. What this machine ended may come out otherwise then, and is not kept."""
    if trace.end.outcome != "failed" or trace.end.kind == "time-limit":
        with contextlib.suppress(OSError):
            _write(_place(bill, variant_id), trace)


def answers_of(variant: Variant) -> Answers | None:
    """The numbers that a variant's guest was rewritten for; None: it is as it was built."""
    errno = variant.needs.get("errno")
    if not isinstance(errno, dict):
        return None
    numbers = {str(name): code for name, code in errno.items() if type(code) is int and 0 <= code < 2**32}
    return Answers(numbers, count_elements=variant.needs.get("sizes") == "elements")


def _place(bill: Bill, variant_id: str) -> Path:
    return cache_dir() / f"{cache_key(bill, variant_id, SCHEMA)}.json"


def _read(file: Path) -> Trace | None:
    """A kept trace; what is damaged or of another schema counts as not there."""
    try:
        if file.stat().st_size > _MOST_BYTES:
            return None
        return Trace.from_json(json.loads(file.read_bytes()))
    except (OSError, ValueError, TraceError, AttributeError):
        return None


def _write(file: Path, trace: Trace) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=".trace-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            json.dump(trace.to_json(), out, separators=(",", ":"))
        Path(temporary).replace(file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    old = sorted(file.parent.glob("*.json"), key=lambda p: p.stat().st_mtime)
    for extra in old[:-MOST_KEPT]:
        extra.unlink(missing_ok=True)
