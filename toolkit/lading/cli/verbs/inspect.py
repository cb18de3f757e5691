"""``lading inspect``: look into a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lading.cli.answer import Answer, verb
from lading.cli.options import Json
from lading.cli.screen import Screen
from lading.units import format_size

if TYPE_CHECKING:
    from lading.check import Place
    from lading.variants.choose import Choice, Judged
    from lading_agent.bill import Variant

EPILOG = "Example:  lading inspect digits.lading"


@verb("inspect")
def inspect(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A .lading file.")],
    no_verify: Annotated[
        bool, typer.Option("--no-verify", help="Read the bill only; do not compare contents with their digests.")
    ] = False,
    for_: Annotated[
        list[str] | None,
        typer.Option(
            "--for",
            metavar="DEVICE|TARGET|PROFILE|all",
            help="Say which variant it would get, and what speaks against the others; may be given repeatedly.",
        ),
    ] = None,
    as_json: Json = False,
) -> Answer:
    """Look into a bundle: app, guest, models, golden vectors, smoke runs, sizes; every content is verified.

    With --for the exit status is 1 where none of the bundle's variants works.
    """
    from lading.bundle import inspect_bundle
    from lading.cli.progress import Bars

    screen = Screen(as_json=as_json)
    with Bars(screen) as bars:
        seen = inspect_bundle(bundle, verify=not no_verify, progress=lambda d, t: bars.update("verify", d, t))
    bill = seen.bill
    choices = _choices(bundle, for_ or [], screen)

    def render(screen: Screen) -> None:
        word = "verified" if seen.verified else "not verified"
        screen.say(f"{bill.app.name} {bill.app.version}  (release {bill.release})", style="bold")
        screen.say(f"{seen.path}: {format_size(seen.size)}, {seen.blob_count} blobs, {word}, {seen.digest}")
        several = len(bill.variants) > 1
        rows, told = [], set()
        for variant in bill.variants:
            if variant.module.digest not in told:
                rows.append(["guest", variant.id, format_size(variant.module.size), _short(variant.module.digest)])
            told.add(variant.module.digest)
        for variant in bill.variants:
            for entry in variant.models:
                model = bill.find_model(f"{entry.name}@{entry.version}" if entry.version else entry.name)
                if entry.digest not in told:
                    name = f"{model.reference} ({variant.id})" if several else f"{model.reference} ({model.int8})"
                    rows.append(["model", name, format_size(entry.size), _short(entry.digest)])
                told.add(entry.digest)
        rows += [
            [
                "directory",
                f"{directory.guest} ({len(directory.files)} files)",
                format_size(sum(file.size for file in directory.files)),
                "",
            ]
            for directory in bill.dirs
        ]
        rows += [["state", directory.guest, "", ""] for directory in bill.state]
        screen.table(["what", "name", "size", "digest"], rows, right=["size"])
        screen.say(f"golden vectors: {len(bill.golden)}, smoke runs: {len(bill.smoke)}")
        if several:
            screen.stacked(["variant", "made of", "for"], [_made(variant) for variant in bill.variants])
        for place, choice in choices:
            _say_choice(screen, place, choice)

    document = seen.to_json()
    if for_:
        document["for"] = [
            {"profile": p.profile.id, "target": p.target.id if p.target else None, **choice.to_json()}
            for p, choice in choices
        ]
    return Answer(document, render, status=1 if any(choice.chosen is None for _, choice in choices) else 0)


def _choices(bundle: Path, names: list[str], screen: Screen) -> list[tuple[Place, Choice]]:
    if not names:
        return []
    from lading.bundle import open_bundle
    from lading.check.places import places
    from lading.variants.choose import for_place

    here = Path.cwd()
    wanted = places([word for text in names for word in text.split(",") if word], here, skipped=screen.skipped)
    with open_bundle(bundle) as opened:
        return [(place, for_place(opened, place, project_dir=here, everything=True)) for place in wanted]


def _made(variant: Variant) -> list[str]:
    from lading.variants.told import promised, summary

    return [variant.id, summary(variant.conversion), ", ".join(promised(variant)) or "–"]


def _say_choice(screen: Screen, place: Place, choice: Choice) -> None:
    where = f"{place.target.id} / {place.profile.id}" if place.target else place.profile.id
    chosen = choice.chosen
    if chosen is None:
        screen.say(f"{where}: no variant fits; the nearest is {choice.nearest.variant}", style="bold red")
        if choice.nearest.verdict.remedy:
            screen.say(f"remedy: {choice.nearest.verdict.remedy}")
    else:
        screen.say(f"{where}: {chosen.variant} ({_summary(chosen.conversion)})", style="bold green")
    rows = [
        [
            judged.variant,
            judged.verdict.verdict if judged.passes else _word(judged),
            judged.verdict.where or "–",
            _why(judged),
        ]
        for judged in ([chosen] if chosen else []) + list(choice.rejected)
    ]
    screen.table(["variant", "verdict", "at", "why"], rows)


def _summary(conversion: tuple[object, ...]) -> str:
    from lading.variants.told import summary

    return summary(conversion)


def _word(judged: Judged) -> str:
    return "loses data" if judged.verdict.verdict == "ok" else judged.verdict.verdict


def _why(judged: Judged) -> str:
    verdict = judged.verdict
    if verdict.verdict == "ok":
        return "; ".join(verdict.warnings) or "ok"
    return ": ".join(text for text in (verdict.answer, verdict.reason) if text)


def _short(digest: str) -> str:
    """Enough of a digest to tell two apart; ``--json`` has the whole."""
    return digest[:19]
