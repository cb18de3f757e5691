"""The steps of a push, in order. The kill matrix is generated from this list, so a new step is tested by being here."""

from __future__ import annotations

from typing import Callable, Final, Optional, Tuple

STEPS: Final[Tuple[str, ...]] = (
    "lock",  # the lock is taken, nothing else happened
    "space",  # storage and inodes are about to be counted
    "intent",  # what is wanted is about to be written down
    "stage",  # a part file is about to be opened
    "receive",  # bytes arrived and are about to be written (once a chunk)
    "blob-sync",  # a whole, right part file is about to be synced
    "blob-rename",  # … to get its name among the blobs
    "blobs-sync",  # the blobs' directory is about to be synced
    "release-build",  # the release's directory is about to be made in staging
    "release-sync",  # … to be synced
    "release-rename",  # … to get its name among the releases, as a candidate
    "golden",  # golden vectors are about to be compared
    "smoke",  # smoke runs are about to be made
    "installed",  # the candidate is about to be marked as installed
    "pending",  # that the release is to be confirmed is about to be written down (where it is to be)
    "pending-boot",  # … and that the device looks after it when it starts
    "pending-watch",  # … and the watcher is about to be started
    "switch-link",  # the new symlink is about to be made beside `current`
    "switch-rename",  # … to replace it
    "switch-sync",  # the app's directory is about to be synced
    "history",  # the history is about to be written
    "settle",  # what was pending before is about to be forgotten
    "clean",  # intent and garbage are about to be removed
    "unlock",  # the lock is about to be let go
)

REVERT_STEPS: Final[Tuple[str, ...]] = (
    "revert-mark",  # that the device goes back, and why, is about to be written down
    "switch-link",
    "switch-rename",
    "switch-sync",
    "revert-history",  # the history is about to be written
    "revert-settle",  # what was pending is about to be forgotten
)
"""The steps of going back, when the device does so by itself."""

OnStep = Callable[[str], None]


class Steps:
    """Tells an observer which step is about to be taken. What the observer raises ends the push there."""

    def __init__(self, on_step: Optional[OnStep] = None) -> None:
        self._on_step = on_step

    def reach(self, name: str) -> None:
        """Say that step ``name`` comes next."""
        assert name in STEPS or name in REVERT_STEPS, f"step {name!r} is not in the list"
        if self._on_step is not None:
            self._on_step(name)
