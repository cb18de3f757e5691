"""A firmware profile made of a probe: the nearest known one, changed until it foretells what was seen.

Numbers that a profile states (limits, exit statuses, encodings, what links) are set to what was measured. An errno that
came out otherwise is attributed to the step of the host that decided the call: its ``fail`` is changed, and the change
stays if it explains more than it spoils. What no change explains is written into the profile (``x-unexplained``), never
left out.
"""

from __future__ import annotations

import copy
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lading import datafiles
from lading.errors import DeviceError
from lading.probe import toml
from lading.probe.compare import differences
from lading.probe.fit import cases_for
from lading.probe.observed import explore
from lading.probe.predict import Predictor
from lading.probe.prologues import ENCODINGS, TARGETS
from lading.probe.suite import presence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lading.probe.compare import Difference
    from lading.probe.observed import ItemResult
    from lading.probe.prober import Probed
    from lading.profiles import FirmwareProfile
    from lading_agent.nn.personality import Personality
    from lading_agent.nn.rules import Frame, Step

MOST_CHANGES: Final = 60
"""How many changes of a step are tried before what is left counts as unexplained."""

_ENDS: Final = ("trap", "abort", "segv")
_OWN: Final = ("id", "extends", "title", "summary", "provenance", "runtime", "schema", "crashes")


class CannotSave(DeviceError):
    """There is nothing to make a profile of."""

    code = "cannot-save"


def save(probed: Probed, name: str, path: Path, project: Path | None = None) -> list[Difference]:
    """Write a firmware profile of a probe, and read it back.

    Args:
        probed: what was found out, on a device that runs guests.
        name: the profile's id, which is the file's stem.
        path: where it is written; an existing file is replaced.
        project: a project folder with firmware profiles of its own.

    Returns:
        What the profile does not explain.

    Raises:
        CannotSave: nothing was measured, or no known profile is near.
        DataFileError: the profile does not hold (and is not written).
    """
    from lading import profiles

    base = profiles.find(probed.nearest.profile, project) if probed.nearest is not None else None
    if base is None or not probed.measured:
        raise CannotSave(
            f"{probed.device}: no guest could be measured against a known firmware profile",
            remedy="probe a device that hosts core modules, or write a profile by hand (lading profiles show)",
        )
    if base.id == name and profiles.files(project)[name].path.resolve() == path.resolve():
        raise CannotSave(
            f"{path} is the profile that fits best: it would extend itself",
            remedy="choose another name, or remove that file first",
        )
    document, left = fitted(probed, base)
    text = _header(probed) + toml.write(_changes(base, document, probed, left))
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".lading-") as scratch:
        made = Path(scratch, path.name)
        made.write_text(text, encoding="utf-8")
        profiles.load_file(made, project)
        made.replace(path)
    return left


def fitted(probed: Probed, base: FirmwareProfile) -> tuple[dict[str, Any], list[Difference]]:
    """The profile's document (whole, in the keys of its file) and what it does not explain."""
    document = plain(base)
    _set_statuses(document, probed)
    _set_link(document, probed)
    best = _Candidate(document, probed)
    for change in (_set_functions, _set_limits, _set_codes, _set_types):
        trial = copy.deepcopy(best.document)
        change(trial, probed)
        if trial != best.document:
            candidate = _Candidate(trial, probed)
            if len(candidate.left) < len(best.left):
                best = candidate
    given_up: set[str] = set()
    for _ in range(MOST_CHANGES):
        todo = next((d for d in best.left if d.item not in given_up), None)
        if todo is None:
            break
        trial = copy.deepcopy(best.document)
        if best.blame(trial, todo.item):
            candidate = _Candidate(trial, probed)
            if len(candidate.left) < len(best.left):
                best = candidate
                continue
        given_up.add(todo.item)
    return best.document, best.left


def plain(profile: FirmwareProfile) -> dict[str, Any]:
    """A profile in the keys of its file, without what is not said."""
    document = _without_none(datafiles.to_builtins(profile))
    assert isinstance(document, dict)
    return document


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    return [_without_none(v) for v in value] if isinstance(value, list) else value


class _Candidate:
    """A document with what it leaves unexplained."""

    def __init__(self, document: dict[str, Any], probed: Probed) -> None:
        self.document = document
        self._probed = probed
        self._predictor = Predictor(_resolved(document))
        self._cases = [*presence(), *cases_for(probed.modules)]
        foretold = explore(self._cases, self._predictor, unsafe=probed.unsafe)
        self.left = differences(foretold, probed.results)

    def blame(self, document: dict[str, Any], key: str) -> bool:
        """Give the step that decided an item's last call the outcome that was seen; False where there is none."""
        seen = self._probed.results[key]
        outcome = _outcome(document, seen)
        if outcome is None:
            return False
        marked: list[tuple[str, int]] = []
        predictor = copy.copy(self._predictor)
        predictor.personality = _traced(self._predictor.personality, marked)
        case = next(c for c in self._cases if c.id == seen.case)
        item = next(i for i in case.items if i.id == seen.item)
        predictor.one(case.program([item]))
        if not marked:
            return False
        function, index = marked[-1]
        step = document["functions"][function][index]
        if "fail" not in step or step["fail"] == outcome:
            return False
        step["fail"] = outcome
        return True


def _resolved(document: Mapping[str, Any]) -> dict[str, Any]:
    import msgspec

    from lading.profiles.schema import FirmwareProfile

    profile = datafiles.decode({k: v for k, v in document.items() if k != "extends"}, FirmwareProfile, where="probe")
    return msgspec.structs.replace(profile, id=str(document.get("id") or "probe")).resolved()


def _traced(personality: Personality, marked: list[tuple[str, int]]) -> Personality:
    """The same behaviour; each step that ends a call is noted."""

    def noting(step: Step, function: str, index: int) -> Step:
        def run(frame: Frame) -> bool:
            goes_on = step(frame)
            if not goes_on:
                marked.append((function, index))
            return goes_on

        return run

    functions = {
        name: replace(f, program=tuple(noting(s, name, i) for i, s in enumerate(f.program)))
        for name, f in personality.functions.items()
    }
    return replace(personality, functions=functions)


def _outcome(document: dict[str, Any], seen: ItemResult) -> str | None:
    """The name of what was seen in an item's last call."""
    if seen.end is not None:
        return seen.end.outcome if seen.end.outcome in _ENDS else None
    return _errno_name(document, seen.calls[-1].errno) if seen.calls and seen.calls[-1].errno else None


def _errno_name(document: dict[str, Any], number: int) -> str:
    names: dict[str, int] = document["abi"]["errno"]
    for name, known in names.items():
        if known == number:
            return name
    names[f"errno-{number}"] = number
    return f"errno-{number}"


def _set_statuses(document: dict[str, Any], probed: Probed) -> None:
    names = {"trap": "trap", "invalid_module": "invalid-module", "link_error": "link-error"}
    names |= {"abort": "abort", "segv": "segv"}
    for measured, status in probed.measured["statuses"].items():
        if measured in names and 0 <= status <= 255:
            document["statuses"][names[measured]] = status


def _set_link(document: dict[str, Any], probed: Probed) -> None:
    link = probed.measured["link"]
    if link["unknown_import"]:
        document["link"]["unknown-import"] = link["unknown_import"]
    if link["wasi"]:
        document["link"]["wasi"] = list(link["wasi"])
    features = document["wasm"]["features"]
    features.update({k: v for k, v in probed.measured["wasm"].items() if v is not None})


def _set_limits(document: dict[str, Any], probed: Probed) -> None:
    for name in ("graphs", "contexts"):
        limit = probed.measured["limits"].get(name)
        if limit is not None and limit["then"] is not None and limit["given"] < limit["tried"]:
            document["limits"][name] = limit["given"]


def _set_codes(document: dict[str, Any], probed: Probed) -> None:
    """Single numbers of encodings and targets, where the tables say something else."""
    from lading_agent.nn.rules import CodeTable

    for table, numbers in (("encodings", ENCODINGS), ("targets", TARGETS)):
        known = CodeTable(document["abi"][table], document[table], table)
        for number in numbers:
            seen = probed.measured[table].get(str(number))
            outcome = known.answer(number)[0]
            if seen in (outcome, None) or document["abi"]["errno"].get(outcome) == seen:
                continue
            if isinstance(seen, int) or seen in _ENDS:
                name = seen if isinstance(seen, str) else _errno_name(document, seen)
                document[table]["codes"][str(number)] = name


_KINDS: Final = {
    "f32": ("float32", False),
    "f16": ("float16", False),
    "f64": ("float64", False),
    "u8": ("uint8", False),
    "i8": ("int8", False),
    "i16": ("int16", False),
    "i32": ("int32", False),
    "i64": ("int64", False),
    "bool": ("bool", False),
    "qu8": ("uint8", True),
    "qi8": ("int8", True),
}
"""The echo models: numpy's name of the type, and whether it is quantized."""


def _set_types(document: dict[str, Any], probed: Probed) -> None:
    """The numbering of tensor types and how inputs pass, from what each type and code gave."""
    numbering: dict[str, int] = probed.measured["tensor_types"]
    names = {n: c for n, c in document["abi"]["tensor-types"].items() if c not in numbering.values()}
    names = {n: c for n, c in names.items() if n not in numbering} | numbering
    rules = []
    for model, (tensor, quantized) in _KINDS.items():
        for code, forms in probed.measured["inputs"].get(model, {}).items():
            how = next((f["how"] for f in forms.values() if f.get("how") in ("copy", "quantize", "drop")), None)
            if how is None:
                continue
            name = next((n for n, c in names.items() if c == int(code)), f"code-{code}")
            names[name] = int(code)
            rules.append({"tensor": tensor, "quantized": quantized, "guest": name, "how": how})
    document["abi"]["tensor-types"] = dict(sorted(names.items(), key=lambda item: item[1]))
    # What depends on the bill's int8 policy is not what a probe sees: it stays.
    kept = [r for r in document["tensors"]["input"] if r.get("int8") == "quantize-f32"]
    document["tensors"]["input"] = [*kept, *rules]


def _set_functions(document: dict[str, Any], probed: Probed) -> None:
    """Functions that do not answer go."""
    for name in list(document["functions"]):
        known = (*probed.measured["functions"], *probed.measured["untried_functions"], "exit")
        if name not in known:
            del document["functions"][name]


def _changes(
    base: FirmwareProfile, document: Mapping[str, Any], probed: Probed, left: list[Difference]
) -> dict[str, Any]:
    """The file: what the base says, changed."""
    before = plain(base)
    runtime = probed.profile.get("runtime") or {}
    made: dict[str, Any] = {
        "schema": 1,
        "extends": base.id,
        "title": f"Measured on {probed.device}",
        "summary": f"A probe{', unsafe cases too' if probed.unsafe else ''}; the nearest known one is {base.id}.",
        "provenance": {
            "known-by": "measured",
            "source": f"lading probe of {probed.device}: {len(probed.results)} items, {len(left)} unexplained",
        },
        "runtime": {
            "name": str(runtime.get("name") or "unknown"),
            "release": str(runtime.get("release") or "unknown"),
        },
    }
    if left:
        made["x-unexplained"] = [d.to_json() for d in left]
    for key, value in document.items():
        if key not in _OWN and value != before.get(key):
            made[key] = _changed(before.get(key, {}), value)
    return made


def _changed(before: Any, after: Any) -> Any:
    """What has to be written so that the profile that is extended becomes ``after``."""
    if not isinstance(before, dict) or not isinstance(after, dict):
        return after
    made = {k: _changed(before[k], v) if k in before else v for k, v in after.items() if before.get(k) != v}
    return made | {k: "none" for k in before if k not in after}


def _header(probed: Probed) -> str:
    return f"# Written by a probe of {probed.device}; not recorded on a build that is known by name.\n"
