"""The one lookup of names that targets, firmware profiles and devices share.

An exact name wins, then a unique prefix, whatever its case. ``target:``, ``profile:``, ``device:`` and ``board:`` in
front of a name say which kind is meant when several kinds know it.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, get_args

from lading.errors import NameNotFound, NameNotUnique

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Kind = Literal["target", "profile", "device", "board"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

_MOST_SHOWN = 8
_LONGEST_SHOWN = 80
_PLURAL: Final[Mapping[str, str]] = {
    "target": "targets",
    "profile": "firmware profiles",
    "device": "devices",
    "board": "boards",
}
_SINGULAR: Final[Mapping[str, str]] = {
    "target": "target",
    "profile": "firmware profile",
    "device": "device",
    "board": "board",
}


class Name(NamedTuple):
    """A name that was found: which kind it is, and its full spelling."""

    kind: Kind
    id: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"


def split(text: str) -> tuple[Kind | None, str]:
    """``"target:rasp"`` → ``("target", "rasp")``; ``"rasp"`` → ``(None, "rasp")``."""
    for kind in KINDS:
        if text.startswith(f"{kind}:"):
            return kind, text[len(kind) + 1 :]
    return None, text


def find(text: str, ids: Iterable[str], kind: Kind) -> str:
    """The one of ``ids`` that ``text`` names.

    Raises:
        NameNotFound: none does; the error lists the near ones.
        NameNotUnique: it is a prefix of several; the error lists them.
    """
    return match(text, {kind: ids}).id


def match(text: str, known: Mapping[Kind, Iterable[str]]) -> Name:
    """The name among several kinds that ``text`` stands for.

    Raises:
        NameNotFound: no kind knows it.
        NameNotUnique: it stands for several names.
    """
    qualifier, word = split(text)
    if qualifier is not None and qualifier not in known:
        raise NameNotFound(
            f"'{_shown(text)}' asks for a {_SINGULAR[qualifier]}, but what is wanted here is {_kinds(known)}",
            remedy=f"leave the '{qualifier}:' away, or give {_kinds(known)}",
            details={"name": text},
        )
    names = [Name(kind, id_) for kind in known if qualifier in (None, kind) for id_ in dict.fromkeys(known[kind])]
    folded = word.casefold()
    for fits in (
        [n for n in names if n.id == word],
        [n for n in names if folded and n.id.casefold() == folded],
        [n for n in names if folded and n.id.casefold().startswith(folded)],
    ):
        if len(fits) == 1:
            return fits[0]
        if fits:
            raise _not_unique(text, fits)
    raise _not_found(text, word, names, known if qualifier is None else {qualifier: ()})


def _not_unique(text: str, fits: list[Name]) -> NameNotUnique:
    several_kinds = len({n.kind for n in fits}) > 1
    words = [str(n) if several_kinds else n.id for n in sorted(fits)]
    return NameNotUnique(
        f"'{_shown(text)}' stands for several {_kinds_of(fits)}: {_listed(words)}",
        remedy="give one of them" + (", with its 'kind:' in front" if several_kinds else " in full"),
        details={"name": text, "candidates": words},
    )


def _not_found(text: str, word: str, names: list[Name], kinds: Iterable[Kind]) -> NameNotFound:
    close = near(word, [n.id for n in names])
    kinds = list(kinds)
    if close:
        remedy = f"did you mean {_listed(close)}?"
    elif names:
        remedy = f"known are {_listed(sorted(n.id for n in names))}"
    else:
        remedy = f"there are no {' or '.join(_PLURAL[k] for k in kinds)} yet"
        if "device" in kinds:
            remedy += ": lading device add NAME ssh://…, or give an address such as emulated://raspberry-pi-4b"
    return NameNotFound(
        f"there is no {_kinds(kinds, article=False)} named '{_shown(text)}'",
        remedy=remedy,
        details={"name": text, "near": close},
    )


def near(word: str, ids: Iterable[str], most: int = 5) -> list[str]:
    """Those of ``ids`` that somebody who wrote ``word`` may have meant, best first."""
    folded = word.casefold()[:_LONGEST_SHOWN]
    by_fold: dict[str, str] = {}
    for id_ in ids:
        by_fold.setdefault(id_.casefold(), id_)
    close = difflib.get_close_matches(folded, by_fold, n=most, cutoff=0.6)
    inside = [f for f in by_fold if len(folded) > 1 and (folded in f or f in folded)]
    return [by_fold[f] for f in dict.fromkeys([*close, *inside])][:most]


def _listed(words: list[str]) -> str:
    more = len(words) - _MOST_SHOWN
    return ", ".join(words[:_MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _kinds(kinds: Iterable[Kind], *, article: bool = True) -> str:
    return " or ".join(("a " if article else "") + _SINGULAR[k] for k in kinds)


def _kinds_of(fits: list[Name]) -> str:
    return " and ".join(_PLURAL[k] for k in KINDS if any(n.kind == k for n in fits))


def _shown(text: str) -> str:
    """The text as a message may repeat it: on one line, and not without end."""
    plain = "".join(c if c.isprintable() else "?" for c in text[: _LONGEST_SHOWN + 1])
    return plain if len(plain) <= _LONGEST_SHOWN else plain[:_LONGEST_SHOWN] + "…"
