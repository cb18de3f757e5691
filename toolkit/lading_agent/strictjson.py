"""JSON from strangers: read with limits, refused with the key and the reason, written in one canonical form.

Canonical means: object keys sorted by code point, no white space, UTF-8 without escapes that are not needed, numbers
as Python writes them (``1``, ``0.5``, ``1e-05``). A document that is read here has no duplicate keys, no number that is
not finite, and no more nesting than its reader allows, so that nobody can be told two things by one document.
"""

from __future__ import annotations

import json
import math
import re
from typing import (
    Any,
    Callable,
    Dict,
    FrozenSet,
    List,
    Mapping,
    NoReturn,
    Optional,
    Pattern,
    Sequence,
    Set,
    Tuple,
    TypeVar,
)

T = TypeVar("T")

MAX_DEPTH = 16
MAX_INTEGER = 2**53 - 1
"""The largest integer that every JSON reader keeps exactly."""


class StrictJsonError(ValueError):
    """A document that is refused: ``key`` is the path to the culprit, ``message`` the cause, ``remedy`` what to do."""

    def __init__(self, message: str, *, key: str = "", remedy: str = "") -> None:
        super().__init__(f"{key}: {message}" if key else message)
        self.key = key
        self.message = message
        self.remedy = remedy


def dumps(document: object) -> bytes:
    """The canonical bytes of a JSON-ready document."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8")


def loads(data: bytes, *, max_bytes: int, max_depth: int = MAX_DEPTH, canonical: bool = False) -> Any:
    """Read one document.

    Args:
        data: UTF-8 JSON.
        max_bytes: the largest document that is looked at.
        max_depth: how deep objects and arrays may be nested.
        canonical: whether the bytes must be exactly what :func:`dumps` writes.

    Raises:
        StrictJsonError: the document breaks one of the rules.
    """
    if len(data) > max_bytes:
        raise StrictJsonError(f"is {len(data)} bytes long; at most {max_bytes} are allowed")
    try:
        document = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique_keys,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_integer,
        )
    except StrictJsonError:
        raise
    except UnicodeDecodeError as error:
        raise StrictJsonError(f"is not UTF-8 (byte {error.start})") from None
    except RecursionError:
        raise StrictJsonError(f"is nested deeper than {max_depth} levels") from None
    except ValueError as error:
        raise StrictJsonError(f"is not JSON: {error}") from None
    _check_depth(document, max_depth)
    if canonical:
        try:
            same = dumps(document) == data
        except UnicodeEncodeError:
            raise StrictJsonError("holds half of a surrogate pair, which is not text") from None
        if not same:
            raise StrictJsonError("is not in canonical form (sorted keys, no white space, UTF-8)")
    return document


def _unique_keys(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        seen: Set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise StrictJsonError("appears twice", key=_printable(name))
            seen.add(name)
    return document


def _refuse_constant(name: str) -> NoReturn:
    raise StrictJsonError(f"holds {name}, which is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise StrictJsonError(f"holds the number {text[:32]}, which is too large")
    return value


def _integer(text: str) -> int:
    if len(text) > 17 or abs(int(text)) > MAX_INTEGER:
        raise StrictJsonError(f"holds the integer {text[:32]}, which is too large")
    return int(text)


def _check_depth(document: Any, limit: int) -> None:
    level: List[Any] = [document]
    for _ in range(limit + 1):
        deeper: List[Any] = []
        for item in level:
            if isinstance(item, dict):
                deeper.extend(value for value in item.values() if isinstance(value, (dict, list)))
            elif isinstance(item, list):
                deeper.extend(value for value in item if isinstance(value, (dict, list)))
        if not deeper:
            return
        level = deeper
    raise StrictJsonError(f"is nested deeper than {limit} levels")


def _printable(text: str, limit: int = 80) -> str:
    shown = "".join(c if c.isprintable() else "?" for c in text[:limit])
    return shown + "…" if len(text) > limit else shown


def _kind(value: object) -> str:
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "an integer", float: "a number", str: "text", list: "an array", dict: "an object"}
    return names.get(type(value), type(value).__name__)


class Node:
    """One value of a document with the path that leads to it, so that every refusal names its key."""

    __slots__ = ("key", "value")

    def __init__(self, value: Any, key: str = "") -> None:
        self.value = value
        self.key = key

    def fail(self, message: str, remedy: str = "") -> NoReturn:
        """Refuse this value."""
        raise StrictJsonError(message, key=self.key, remedy=remedy)

    def fields(self, required: Sequence[str], optional: Sequence[str] = ()) -> Dict[str, Node]:
        """The members of an object: all required ones, none that is unknown (``x-…`` is skipped)."""
        value = self.value
        if not isinstance(value, dict):
            self.fail(f"is {_kind(value)}, not an object")
        known: FrozenSet[str] = frozenset(required) | frozenset(optional)
        found: Dict[str, Node] = {}
        for name, member in value.items():
            if name in known:
                found[name] = Node(member, self._below(name))
            elif not name.startswith("x-"):
                raise StrictJsonError(
                    "is not a known key",
                    key=self._below(_printable(name)),
                    remedy="if it was written by a newer lading, update lading here; private keys start with 'x-'",
                )
        for name in required:
            if name not in found:
                raise StrictJsonError("is missing", key=self._below(name))
        return found

    def items(self, limit: int) -> List[Node]:
        """The elements of an array of at most ``limit``."""
        value = self.value
        if not isinstance(value, list):
            self.fail(f"is {_kind(value)}, not an array")
        if len(value) > limit:
            self.fail(f"holds {len(value)} items; at most {limit} are allowed")
        return [Node(item, f"{self.key}[{index}]") for index, item in enumerate(value)]

    def members(self, limit: int) -> List[Tuple[str, Node]]:
        """Name and value of every member of a free object of at most ``limit``."""
        value = self.value
        if not isinstance(value, dict):
            self.fail(f"is {_kind(value)}, not an object")
        if len(value) > limit:
            self.fail(f"holds {len(value)} members; at most {limit} are allowed")
        return [(name, Node(member, self._below(_printable(name)))) for name, member in value.items()]

    def free_object(self) -> Mapping[str, Any]:
        """An object whose content is left to later readers."""
        if not isinstance(self.value, dict):
            self.fail(f"is {_kind(self.value)}, not an object")
        value: Mapping[str, Any] = self.value
        return value

    def text(self, pattern: Optional[Pattern[str]] = None, what: str = "", limit: int = 4096) -> str:
        """Text of at most ``limit`` characters, without NUL, which ``pattern`` matches whole."""
        value = self.value
        if not isinstance(value, str):
            self.fail(f"is {_kind(value)}, not text")
        if len(value) > limit:
            self.fail(f"is {len(value)} characters long; at most {limit} are allowed")
        if "\0" in value:
            self.fail("holds a NUL character")
        if any("\ud800" <= c <= "\udfff" for c in value):
            self.fail("holds half of a surrogate pair, which is not text")
        if pattern is not None and not pattern.fullmatch(value):
            self.fail(f"'{_printable(value)}' is not {what}")
        return str(value)

    def one_of(self, allowed: Sequence[str], remedy: str = "") -> str:
        """Text that is one of ``allowed``."""
        value = self.text()
        if value not in allowed:
            self.fail(f"'{_printable(value)}' is not one of {', '.join(allowed)}", remedy)
        return value

    def integer(self, low: int, high: int) -> int:
        """An integer between ``low`` and ``high``, both included."""
        value = self.value
        if type(value) is not int:
            self.fail(f"is {_kind(value)}, not an integer")
        if not low <= value <= high:
            self.fail(f"{value} is not between {low} and {high}")
        return int(value)

    def number(self, low: float, high: float) -> float:
        """A finite number between ``low`` and ``high``, both included."""
        value = self.value
        if type(value) not in (int, float):
            self.fail(f"is {_kind(value)}, not a number")
        if not low <= value <= high:
            self.fail(f"{value} is not between {low:g} and {high:g}")
        return float(value)

    def boolean(self) -> bool:
        """True or false."""
        value = self.value
        if not isinstance(value, bool):
            self.fail(f"is {_kind(value)}, not true or false")
        return value

    def optional(self, read: Callable[[Node], T]) -> Optional[T]:
        """None for null, else what ``read`` makes of it."""
        return None if self.value is None else read(self)

    def _below(self, name: str) -> str:
        return f"{self.key}.{name}" if self.key else name


SHA256 = re.compile(r"sha256:[0-9a-f]{64}")
"""A digest as it stands in bills and manifests: lower case, no other algorithm."""
