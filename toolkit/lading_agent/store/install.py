"""Making a release's directory from content that is already there.

Directories that ship with the app are built once, when the release is made, as hard links into the blobs: no copy, no
storage, nothing to do when a run starts, and real files for a WebAssembly host, which follows no symlink out of the
directory that it opened. Where a file system has no hard links (or a file has too many names) a copy takes its place.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from typing import TYPE_CHECKING, Final, List

from lading_agent.store.durable import make_dirs, remove_any, replace_file, sync_dir, write_file
from lading_agent.store.releases import CANDIDATE, Release, now

if TYPE_CHECKING:
    from pathlib import Path

    from lading_agent.bill import Bill
    from lading_agent.store.layout import Layout
    from lading_agent.store.steps import Steps

_NO_LINK: Final = (errno.EPERM, errno.EMLINK, errno.EXDEV, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES)


def inodes_needed(bill: Bill) -> int:
    """How many names a release takes beside its blobs."""
    folders = {path.rpartition("/")[0] for directory in bill.dirs for path in (f.path for f in directory.files)}
    return 3 + len(bill.dirs) + sum(1 + folder.count("/") for folder in folders)


def install(layout: Layout, bill: Bill, bill_bytes: bytes, variant: str, steps: Steps, runtime: str = "") -> Release:
    """Make the directory of a release; it is a candidate, and durable, when this returns.

    Args:
        layout: the store's paths.
        bill: the release's bill; all blobs of the variant are there.
        bill_bytes: the bill as it came.
        variant: which variant of it.
        steps: told of each step.
        runtime: the runtime that it is for, where that is not the one of its bill.
    """
    steps.reach("release-build")
    scratch = layout.scratch()
    scratch.mkdir()
    release = Release(bill.app.name, bill.release, variant, CANDIDATE, bill.blobs(variant), now(), runtime)
    write_file(scratch / "bill.json", bill_bytes)
    write_file(scratch / "release.json", json.dumps(release.to_json(), sort_keys=True).encode())
    made: List[Path] = [scratch]
    for number, directory in enumerate(bill.dirs):
        root = scratch / "dirs" / str(number)
        root.mkdir(parents=True)
        made += [root] if number else [root.parent, root]
        for file in directory.files:
            path = root.joinpath(*file.path.split("/"))
            made += _make_parents(path.parent, root)
            _link(layout.blob(file.digest), path)
    steps.reach("release-sync")
    for path in reversed(made):
        sync_dir(path)
    make_dirs(layout.releases(bill.app.name))
    steps.reach("release-rename")
    home = layout.release(bill.app.name, bill.release)
    if home.exists():  # a candidate that did not get through, or a damaged one
        home.rename(layout.scratch())
    scratch.rename(home)
    sync_dir(home.parent)
    return release


def refresh(layout: Layout, bill: Bill, bill_bytes: bytes) -> None:
    """Put a release that is there already in order, while it may be current: file by file, each replaced by rename."""
    home = layout.release(bill.app.name, bill.release)
    replace_file(home / "bill.json", bill_bytes, layout.scratch())
    for number, directory in enumerate(bill.dirs):
        root = home / "dirs" / str(number)
        root.mkdir(parents=True, exist_ok=True)
        for file in directory.files:
            path = root.joinpath(*file.path.split("/"))
            _make_parents(path.parent, root)
            scratch = layout.scratch()
            _link(layout.blob(file.digest), scratch)
            scratch.replace(path)
            remove_any(scratch)  # rename(2) leaves both names where they are one file already


def _make_parents(path: Path, root: Path) -> List[Path]:
    made: List[Path] = []
    while path != root and not path.is_dir():
        made.append(path)
        path = path.parent
    for folder in reversed(made):
        folder.mkdir()
    return made[::-1]


def _link(blob: Path, path: Path) -> None:
    try:
        os.link(blob, path)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        with blob.open("rb") as source, path.open("xb") as copy:
            shutil.copyfileobj(source, copy, 1024 * 1024)
            os.fchmod(copy.fileno(), 0o444)
            copy.flush()
            os.fsync(copy.fileno())
