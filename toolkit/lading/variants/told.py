"""What was done to a variant, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lading_agent.bill import Variant


def summary(conversion: Iterable[Any]) -> str:
    """One line for people, from a bill that may come from anybody: ``digits@1.0.0 as float32, guest rewritten``."""
    models: dict[str, dict[str, None]] = {}
    guest: list[str] = []
    compiled: list[str] = []
    for entry in conversion:
        if not isinstance(entry, dict):
            continue
        if entry.get("what") == "model":
            models.setdefault(_text(entry.get("model")), {}).update(dict.fromkeys(_types(entry.get("changes"))))
        elif entry.get("what") == "guest":
            guest.append(_text(entry.get("part")))
        elif entry.get("what") == "compiled":
            compiled.append(f"compiled ahead by {_text(entry.get('compiler'))} for {_text(entry.get('architecture'))}")
    said = [f"{model} as {' and '.join(types)}" for model, types in models.items()]
    if guest:
        said.append(
            "guest rewritten, with its models inside"
            if any(p.startswith("model ") for p in guest)
            else "guest rewritten"
        )
    said += compiled
    return ", ".join(said) or "as it was given"


def promised(variant: Variant) -> list[str]:
    """The firmwares on which the check said ``ok`` when the variant was made."""
    profiles = variant.provides.get("profiles")
    return [_text(profile) for profile in profiles] if isinstance(profiles, list) else []


def effort(conversion: Iterable[Any]) -> tuple[int, int]:
    """How much was converted: models, then changes of the guest. Nothing comes first."""
    entries = [entry for entry in conversion if isinstance(entry, dict)]
    models = {_text(entry.get("model")) for entry in entries if entry.get("what") == "model"}
    return len(models), len(entries) - sum(entry.get("what") == "model" for entry in entries)


def _types(changes: Any) -> list[str]:
    found: list[str] = []
    for change in changes if isinstance(changes, list) else ():
        known: Mapping[str, Any] = change if isinstance(change, dict) else {}
        found.append(_text(known.get("after")))
    return found or ["other types"]


def _text(value: Any) -> str:
    return value if isinstance(value, str) and len(value) < 200 else "?"
