"""Apps against places: what runs where, through which variant, and what would have failed without one."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from lading.errors import UsageError
from lading.variants.told import summary
from lading_agent.bill import DEFAULT_VARIANT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lading.check import Place, Verdict
    from lading.datafiles import Skipped
    from lading.variants.choose import Choice

    Progress = Callable[[str, int, int], None]

State = Literal["ok", "variant", "unknown", "fails"]

STATES: Final[tuple[State, ...]] = ("ok", "variant", "unknown", "fails")
"""From the best to the worst."""


@dataclass(frozen=True)
class App:
    """An app of the matrix."""

    path: str
    name: str
    version: str
    release: str
    variants: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What a column is called."""
        return f"{self.name} {self.version}"


@dataclass(frozen=True)
class Cell:
    """One app at one place."""

    state: State
    without: Verdict
    """What the check says of the guest and its models as they were given."""
    verdict: Verdict
    """What it says of the variant that would be sent; of the nearest where none would."""
    variant: str
    conversion: str
    """What the variant is made of, in words."""
    attempt: str = ""
    """Where there is none: how far the best attempt at one came."""
    advice: str = ""
    """What to do about that."""

    @property
    def reason(self) -> str:
        """Why it is not simply ``ok``; empty where it is."""
        if self.state == "ok":
            return "; ".join(self.verdict.warnings)
        told = self.without if self.state == "variant" else self.verdict
        texts = (told.where, told.answer, told.reason or "; ".join(told.warnings))
        return ": ".join(text for text in texts if text)

    @property
    def remedy(self) -> str:
        """What to do about it."""
        if self.state == "ok":
            return ""
        return self.without.remedy if self.state == "variant" else self.advice or self.verdict.remedy

    def to_json(self) -> dict[str, Any]:
        """The cell with stable keys."""
        return {
            "state": self.state,
            "variant": self.variant,
            "conversion": self.conversion,
            "reason": self.reason,
            "remedy": self.remedy,
            "attempt": self.attempt,
            "verdict": self.verdict.to_json(),
            "without": self.without.to_json(),
        }


@dataclass(frozen=True)
class Matrix:
    """The whole picture: ``cells[row][column]``, a row for a place, a column for an app."""

    apps: tuple[App, ...]
    places: tuple[Place, ...]
    cells: tuple[tuple[Cell, ...], ...]

    def counts(self) -> dict[str, int]:
        """How many cells have each state."""
        flat = [cell.state for row in self.cells for cell in row]
        return {state: flat.count(state) for state in STATES}

    @property
    def stranded(self) -> list[App]:
        """Apps that run nowhere."""
        return [
            app
            for column, app in enumerate(self.apps)
            if not any(row[column].state in ("ok", "variant") for row in self.cells)
        ]

    def to_json(self) -> dict[str, Any]:
        """The document's keys."""
        return {
            "apps": [
                {
                    "path": app.path,
                    "app": app.name,
                    "version": app.version,
                    "release": app.release,
                    "variants": list(app.variants),
                    "notes": list(app.notes),
                }
                for app in self.apps
            ],
            "places": [
                {
                    "profile": place.profile.id,
                    "target": place.target.id if place.target else None,
                    "title": place.profile.title,
                    "known_by": place.profile.provenance.known_by,
                }
                for place in self.places
            ],
            "cells": [
                {"place": row, "app": column, **cell.to_json()}
                for row, cells in enumerate(self.cells)
                for column, cell in enumerate(cells)
            ],
            "counts": self.counts(),
        }


def place_title(place: Place) -> str:
    """``raspberry-pi-4b / wamr-2.4``, or the profile alone."""
    return f"{place.target.id} / {place.profile.id}" if place.target else place.profile.id


def make_matrix(
    paths: Sequence[Path],
    places: Sequence[Place],
    *,
    names: Sequence[str] | None = None,
    project_dir: Path | None = None,
    skipped: Skipped | None = None,
    progress: Progress | None = None,
) -> Matrix:
    """Hold apps against places.

    Args:
        paths: projects' folders, whose variants are made, and bundles, which have theirs.
        places: where they are to run.
        names: what projects are to have variants for; None: what they say, else every host of TFLite.
        project_dir: whose own firmware profiles count as well.
        skipped: is told of firmware profiles that cannot be used.
        progress: told of the stages of packing.

    Raises:
        UsageError: a path is neither a project nor a bundle.
        ProjectError, BundleError: it cannot be used.
    """
    apps, columns = [], []
    with tempfile.TemporaryDirectory(prefix="lading-matrix-") as scratch:
        for number, path in enumerate(paths):
            app, column = _column(
                path, places, names, Path(scratch) / f"{number}.lading", project_dir, skipped, progress
            )
            apps.append(app)
            columns.append(column)
    return Matrix(tuple(apps), tuple(places), tuple(zip(*columns, strict=True)))


def _column(
    path: Path,
    places: Sequence[Place],
    names: Sequence[str] | None,
    scratch: Path,
    project_dir: Path | None,
    skipped: Skipped | None,
    progress: Progress | None,
) -> tuple[App, list[Cell]]:
    from lading.bundle import open_bundle, pack
    from lading.project import PROJECT_FILE, load_project
    from lading.variants.choose import for_place
    from lading.variants.packing import Packer, Wanted

    bundle, notes, attempts = path, list[str](), dict[str, dict[str, str]]()
    if path.is_dir() or path.name == PROJECT_FILE:
        packer = Packer(Wanted(None if names is None else tuple(names)), skipped=skipped)
        bundle = pack(load_project(path), scratch, variants=packer, progress=progress).path
        notes = [packer.report.note] if packer.report.note else []
        attempts = {u["profile"]: u for u in packer.report.unserved}
    elif not path.is_file():
        raise UsageError(
            f"{path} is neither a project's folder nor a bundle",
            remedy="give a folder with lading.toml, or a .lading file",
        )
    with open_bundle(bundle) as opened:
        bill = opened.bill
        if bundle == path:
            opened.verify()
        cells = [
            _cell(for_place(opened, place, project_dir=project_dir), attempts.get(place.profile.id, {}))
            for place in places
        ]
        variants = tuple(v.id for v in bill.variants)
        return App(str(path), bill.app.name, bill.app.version, bill.release, variants, tuple(notes)), cells


def _cell(choice: Choice, tried: Mapping[str, str]) -> Cell:
    judged = [*([choice.chosen] if choice.chosen else []), *choice.rejected]
    without = next((j.verdict for j in judged if j.variant == DEFAULT_VARIANT), choice.nearest.verdict)
    nearest = choice.nearest
    state: State
    if choice.chosen is None:
        # What one variant cannot do, another may: only where nothing is known of any of them it is unknown.
        state = "unknown" if nearest.verdict.verdict == "unknown" else "fails"
    elif not choice.chosen.passes:
        state = "unknown"
    else:
        state = "ok" if choice.chosen.variant == DEFAULT_VARIANT else "variant"
    if state != "fails" or not tried.get("attempt"):
        tried = {"attempt": "", "remedy": ""}
    made = summary(nearest.conversion)
    return Cell(state, without, nearest.verdict, nearest.variant, made, tried["attempt"], tried["remedy"])
