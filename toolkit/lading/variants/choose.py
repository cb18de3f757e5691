"""Which variant of a bundle a place gets: the one with the least conversion of those that the check says ``ok`` of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lading.check import judge
from lading.check.compiled import elsewhere
from lading.check.verdict import At
from lading.errors import NoVariantFits, UsageError
from lading.variants.make import passes
from lading.variants.told import effort, promised, summary
from lading_agent.ahead import ahead_of
from lading_agent.bill import DEFAULT_VARIANT, BillError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from lading.bundle.reader import Bundle
    from lading.check import Place, Verdict
    from lading_agent.bill import Bill, Variant

    Judge = Callable[[str], Verdict]


@dataclass(frozen=True)
class Judged:
    """What the check says of one variant at one place."""

    variant: str
    verdict: Verdict
    conversion: tuple[Any, ...] = ()

    @property
    def passes(self) -> bool:
        """Whether it works there, and no data is lost on the way."""
        return passes(self.verdict)

    def to_json(self) -> dict[str, Any]:
        """The judgement with stable keys."""
        return {
            "variant": self.variant,
            "conversion": summary(self.conversion),
            "passes": self.passes,
            **self.verdict.to_json(),
        }


@dataclass(frozen=True)
class Choice:
    """The variant for a place, and those that were looked at before it."""

    chosen: Judged | None
    rejected: tuple[Judged, ...] = ()
    forced: bool = False

    @property
    def nearest(self) -> Judged:
        """The chosen one; where there is none, the one whose guest would come furthest."""
        return self.chosen or max(self.rejected, key=_reach)

    def to_json(self) -> dict[str, Any]:
        """The choice with stable keys."""
        return {
            "chosen": self.chosen.variant if self.chosen else None,
            "conversion": summary(self.chosen.conversion) if self.chosen else None,
            "forced": self.forced,
            "rejected": [judged.to_json() for judged in self.rejected],
        }

    def with_unknown(self) -> Choice:
        """The same, with the first of those that nobody knows anything about where none is known to work."""
        unknown = next((j for j in self.rejected if j.verdict.verdict == "unknown"), None)
        if self.chosen is not None or unknown is None:
            return self
        return Choice(unknown, tuple(j for j in self.rejected if j is not unknown))

    def why(self) -> str:
        """Why it is this one, in one line; empty where it is the guest as it was given."""
        if self.chosen is None or (self.chosen.variant == DEFAULT_VARIANT and not self.forced):
            return ""
        how = "as it was asked for" if self.forced else "the least conversion that is ok"
        said = f"variant {self.chosen.variant} ({summary(self.chosen.conversion)}), {how}"
        first = next((j.verdict for j in self.rejected if j.variant == DEFAULT_VARIANT), None)
        if first is None:
            return said
        return f"{said}; without it: {': '.join(t for t in (first.where, first.answer or first.reason) if t)}"


def _reach(judged: Judged) -> tuple[int, int]:
    at = judged.verdict.at
    ranks = {"ok": 3, "unknown": 2, "fails": 1}
    return ranks[judged.verdict.verdict], at.step if isinstance(at, At) else 0


def in_order(bill: Bill, profile: str = "") -> list[Variant]:
    """The variants from the least conversion to the most; before the others of its kind comes what promises to work.

    What is compiled ahead comes just before what it was made of: it does the same, and is faster where it runs at all.
    """

    def rank(variant: Variant) -> tuple[bool, bool, tuple[int, int], int, str, bool]:
        ahead = ahead_of(variant)
        made_of = variant if ahead is None else bill.variant(ahead.portable)
        fits = profile in promised(made_of)
        size = made_of.module.size + sum(model.size for model in made_of.models)
        return made_of.id != DEFAULT_VARIANT, not fits, effort(made_of.conversion), size, made_of.id, ahead is None

    return sorted(bill.variants, key=rank)


def choose(
    bill: Bill, judge_one: Judge, *, profile: str = "", everything: bool = False, native: bool = False
) -> Choice:
    """Choose a variant.

    Args:
        bill: the bundle's.
        judge_one: what the check says of a variant.
        profile: the firmware, where it is known: variants that were made for it are looked at first.
        everything: look at all of them, also after one was found.
        native: look at machine code as well: whoever made the bundle is trusted with the device.
    """
    rejected: list[Judged] = []
    chosen: Judged | None = None
    for variant in in_order(bill, profile):
        if not native and ahead_of(variant) is not None:
            continue
        if chosen is not None and not everything:
            break
        judged = Judged(variant.id, judge_one(variant.id), tuple(variant.conversion))
        if chosen is None and judged.passes:
            chosen = judged
        else:
            rejected.append(judged)
    if chosen is None:
        # What loses data, and what a guest was seen to deal with, is still better than nothing.
        good = [j for j in rejected if j.verdict.verdict == "ok" or j.verdict.handled]
        if good:
            chosen = good[0]
            rejected.remove(chosen)
    return Choice(chosen, tuple(rejected))


def for_place(bundle: Bundle, place: Place, *, project_dir: Path | None = None, everything: bool = False) -> Choice:
    """The variant of a bundle for a firmware, perhaps on a target."""
    from lading.trace.cache import bundle_trace

    def judge_one(variant: str) -> Verdict:
        compiled = elsewhere(bundle.bill.variant(variant), place)
        return compiled or judge(bundle_trace(bundle, variant, project_dir=project_dir), place)

    return choose(bundle.bill, judge_one, profile=place.profile.id, everything=everything, native=True)


def forced(bill: Bill, variant_id: str, judge_one: Judge) -> Choice:
    """The variant that the user wants.

    Raises:
        UsageError: there is no such variant.
    """
    try:
        variant = bill.variant(variant_id)
    except BillError as error:
        raise UsageError(f"the bundle {error.message}", remedy=error.remedy) from None
    return Choice(Judged(variant.id, judge_one(variant.id), tuple(variant.conversion)), forced=True)


def refusal(choice: Choice, where: str) -> NoVariantFits:
    """The error of a place that none of several variants suits."""
    nearest = choice.nearest
    judged: Iterable[Judged] = choice.rejected if choice.chosen is None else (choice.chosen, *choice.rejected)
    return NoVariantFits(
        f"no variant fits {where}; the nearest is {nearest.variant} ({summary(nearest.conversion)}): "
        f"{nearest.verdict.sentence()}",
        remedy=nearest.verdict.remedy or "pack a variant for it: lading pack --for PROFILE",
        details={**nearest.verdict.to_json(), "nearest": nearest.variant, "variants": [j.to_json() for j in judged]},
    )
