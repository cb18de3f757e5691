"""``lading engines``: the libraries that the native runner loads, on this machine and for devices."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lading.cli.answer import Answer, verb
from lading.cli.options import Json
from lading.cli.progress import Bars
from lading.cli.screen import Screen
from lading.units import format_size

if TYPE_CHECKING:
    from lading.engines import Engine
    from lading.engines.installed import Found

LIST_EPILOG = "Example:  lading engines list"
FETCH_EPILOG = "Example:  lading engines fetch --arch aarch64"
VERIFY_EPILOG = "Example:  lading engines verify"


@verb("engines-list")
def list_(as_json: Json = False) -> Answer:
    """List the engines that work with the native runner: versions, architectures, what was fetched or is installed."""
    from lading import engines
    from lading.engines.fetching import fetched
    from lading.engines.installed import packages

    known = engines.load_all(Path.cwd(), skipped=Screen(as_json=as_json).skipped)
    here = {(f.name, f.version, f.architecture): f for f in packages(known)}
    document: list[dict[str, Any]] = [
        {
            "name": engine.name,
            "version": engine.version,
            "architecture": architecture,
            "default": engine.table.default,
            "size": engine.wheel(architecture).library.stripped_size,
            "wheel": engine.wheel(architecture).file,
            "sha256": engine.wheel(architecture).sha256,
            "wheel_size": engine.wheel(architecture).size,
            "minimums": engine.minimums(architecture),
            "fetched": fetched(engine, architecture) is not None,
            "installed": (engine.name, engine.version, architecture) in here,
            "origin": engine.origin,
        }
        for engine in known
        for architecture in sorted(engine.architectures)
    ]
    listed = {(entry["name"], entry["version"], entry["architecture"]) for entry in document}
    others = [found for key, found in here.items() if key not in listed]

    def render(screen: Screen) -> None:
        rows = [
            [
                entry["name"],
                entry["version"] + (" (default)" if entry["default"] else ""),
                entry["architecture"],
                format_size(entry["size"]),
                _needs(entry["minimums"]),
                "yes" if entry["fetched"] else "no",
                "yes" if entry["installed"] else "no",
            ]
            for entry in document
        ]
        screen.table(
            ["engine", "version", "architecture", "size", "needs", "fetched", "installed here"], rows, right=["size"]
        )
        for found in others:
            screen.note(f"{found.name} {found.version} is installed here, and not in the catalogue: {found.path}")

    return Answer({"engines": document, "others": [_found(found) for found in others]}, render)


@verb("engines-fetch")
def fetch(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME[==VERSION]", help="Engines; left out: the default version of each."),
    ] = None,
    arch: Annotated[
        list[str] | None,
        typer.Option("--arch", metavar="ARCH", help="The devices' architecture. Default: this machine's. Repeatable."),
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every architecture that there is a runner for.")] = False,
    from_: Annotated[
        Path | None, typer.Option("--from", metavar="FOLDER", help="Look for the wheels in this folder first.")
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="FOLDER", help="Save the wheels in this folder, to be carried elsewhere."),
    ] = None,
    as_json: Json = False,
) -> Answer:
    """Fetch engines for devices: wheels from the package index, by their SHA-256; the libraries come out, stripped."""
    from lading import engines
    from lading.engines.fetching import save_wheel
    from lading.errors import UsageError

    if arch and all_:
        raise UsageError("--arch and --all say different things", remedy="give one of them")
    wanted = _wanted(names or [])
    screen = Screen(as_json=as_json)
    got: list[dict[str, Any]] = []
    with Bars(screen) as bars:
        for architecture in _architectures(arch, all_=all_):
            for engine in wanted:
                entry: dict[str, Any] = {
                    "name": engine.name,
                    "version": engine.version,
                    "architecture": architecture,
                    "wheel": None,
                }
                if to is not None:
                    saved = save_wheel(engine, architecture, to, folder=from_, progress=bars.update)
                    entry["wheel"] = str(saved)
                folder = to if to is not None else from_
                part = engines.fetch(engine, architecture, folder=folder, progress=bars.update)
                entry |= {
                    "library": str(part.library),
                    "digest": part.digest,
                    "size": part.size,
                    "licences": [str(path) for path in part.licences],
                    "minimums": dict(part.minimums),
                }
                got.append(entry)

    def render(screen: Screen) -> None:
        rows = [
            [e["name"], e["version"], e["architecture"], format_size(e["size"]), e["wheel"] or e["library"]]
            for e in got
        ]
        screen.table(["engine", "version", "architecture", "size", "file"], rows, right=["size"])

    return Answer({"fetched": got}, render)


@verb("engines-verify")
def verify(as_json: Json = False) -> Answer:
    """Hash what was fetched, and the installed packages' libraries, against the catalogue. Exit status 1: damage."""
    from lading import engines
    from lading.engines.installed import cached, packages
    from lading.errors import EngineDamaged

    known = engines.load_all(Path.cwd(), skipped=Screen(as_json=as_json).skipped)
    found = [*packages(known), *cached(known)]
    damaged = [f for f in found if f.state == "damaged"]

    def render(screen: Screen) -> None:
        rows = [[f.name, f.version or "–", f.architecture or "–", f.where, f.state, str(f.path)] for f in found]
        screen.table(["engine", "version", "architecture", "from", "state", "file"], rows)
        for entry in damaged:
            if entry.where == "package":
                what = f"install its package again: pip install --force-reinstall {_package(known, entry)}"
            else:
                what = "it is fetched again when it is needed, or now: lading engines fetch"
            screen.failure(f"damaged: {entry.path}", what)

    document = {"engines": [_found(f) for f in found], "damaged": len(damaged)}
    return Answer(document, render, EngineDamaged.exit_status if damaged else 0)


def _wanted(references: list[str]) -> list[Engine]:
    from lading import engines

    if not references:
        return list(engines.choose(project_dir=Path.cwd()))
    wanted: dict[str, Engine] = {}
    for reference in references:
        name, _, version = reference.partition("==")
        engine = engines.find(name, version or None, Path.cwd())
        wanted[engine.reference] = engine
    return list(wanted.values())


def _architectures(given: list[str] | None, *, all_: bool) -> list[str]:
    import platform

    from lading.engines import ARCHITECTURES
    from lading.errors import NoSuchEngine

    chosen = list(ARCHITECTURES) if all_ else list(dict.fromkeys(given or [platform.machine()]))
    for architecture in chosen:
        if architecture not in ARCHITECTURES:
            raise NoSuchEngine(
                f"there is no native runner for {architecture}",
                remedy=f"give the devices' architecture: --arch {' or --arch '.join(ARCHITECTURES)}, or --all",
            )
    return chosen


def _needs(minimums: dict[str, str]) -> str:
    words = {"glibc": "glibc", "glibcxx": "GLIBCXX"}
    return ", ".join(f"{word} {minimums[name]}" for name, word in words.items() if name in minimums)


def _package(known: list[Engine], found: Found) -> str:
    package = next(engine.table.package for engine in known if engine.name == found.name)
    return f"{package}=={found.version}"


def _found(found: Found) -> dict[str, Any]:
    return {
        "name": found.name,
        "version": found.version,
        "architecture": found.architecture,
        "from": found.where,
        "path": str(found.path),
        "state": found.state,
    }
