"""What types cannot say about a profile: numbers given twice, names that are nobody's, steps that do not exist."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lading import names
from lading.datafiles import invalid
from lading.profiles.params import check_params
from lading.wasm.features import FEATURES
from lading_agent.nn import rules_handles, rules_load, rules_run  # noqa: F401  (they register the steps)
from lading_agent.nn.calls import CRASHES
from lading_agent.nn.decode import PARAMETERS
from lading_agent.nn.facts import DTYPES
from lading_agent.nn.rules import CONDITIONS, INPUT_TRANSFERS, OUTPUT_TRANSFERS, STEPS
from lading_agent.runs.words import places

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lading.profiles.schema import Codes, Command, FirmwareProfile

_DTYPES = {name for name, _ in DTYPES.values()}


_PLACES: dict[str, set[str]] = {
    "words": {"module", "memory", "directories", "variables", "models", "arguments"},
    "directory": {"guest", "host"},
    "read_only_directory": {"guest", "host"},
    "variable": {"name", "value"},
    "hidden_variable": {"name"},
    "model": {"name", "encoding", "target", "path", "folder"},
    "memory": {"bytes", "pages"},
    "link": {"name", "encoding"},
}
"""Places that each template of ``[command]`` may have."""
_LISTS = ("memory", "directories", "variables", "models", "arguments")


def check(profile: FirmwareProfile, where: str) -> None:
    """Look at everything in a profile that refers to something else in it.

    Raises:
        DataFileError: names file, key, cause and remedy.
    """
    if profile.command is not None:
        _command(where, profile.command)
    _features(where, profile.wasm.features)
    if profile.abi is None:
        if profile.functions:
            raise invalid(where, "abi", "is missing, but there are functions", remedy="add the [abi] table")
        return
    abi = profile.abi
    for table, numbers in (
        ("tensor-types", abi.tensor_types),
        ("encodings", abi.encodings),
        ("targets", abi.targets),
        ("errno", abi.errno),
    ):
        _no_number_twice(where, f"abi.{table}", numbers)
    if abi.errno.get("success") != 0:
        raise invalid(where, "abi.errno.success", "is not 0", remedy="write 'success = 0'")
    outcomes = {*abi.errno, "trap", *CRASHES}
    for key, codes, numbers in (
        ("encodings", profile.encodings, abi.encodings),
        ("targets", profile.targets, abi.targets),
    ):
        if codes is None:
            raise invalid(where, key, "is missing", remedy=f"add the [{key}] table")
        _codes(where, key, codes, numbers, outcomes)
    _tensors(where, profile, outcomes)
    _functions(where, profile, outcomes)


def _features(where: str, features: Iterable[str]) -> None:
    for name in features:
        if name not in FEATURES:
            near = names.near(name, FEATURES)
            raise invalid(
                where,
                f"wasm.features.{name}",
                "is not a feature of WebAssembly that modules are looked through for",
                remedy=f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(sorted(FEATURES))}",
            )


def _command(where: str, command: Command) -> None:
    for key, known in _PLACES.items():
        words = getattr(command, key)
        for name in places([words] if isinstance(words, str) else words):
            _known(where, f"command.{key.replace('_', '-')}", name, known, "place")
    for name in ("module", "arguments"):
        if name not in places(command.words):
            raise invalid(where, "command.words", f"there is no place for {{{name}}}", remedy=f'add "{{{name}}}"')
    for name in _LISTS:
        if any(f"{{{name}}}" in word and word != f"{{{name}}}" for word in command.words):
            raise invalid(where, "command.words", f"{{{name}}} is not a word of its own", remedy=f'write "{{{name}}}"')
    for key in ("since", "before"):
        text = getattr(command, key)
        if text and not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6}){0,3}", text):
            raise invalid(where, f"command.{key}", f"{text!r} is no release", remedy='write "2.4"')


def _no_number_twice(where: str, key: str, numbers: Mapping[str, int]) -> None:
    seen: dict[int, str] = {}
    for name, number in numbers.items():
        if number in seen:
            raise invalid(
                where, f"{key}.{name}", f"{number} is already {seen[number]}", remedy="give each name its own number"
            )
        seen[number] = name


def _known(where: str, key: str, name: str, known: Iterable[str], what: str) -> None:
    known = sorted(known)
    if name not in known:
        near = names.near(name, known)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise invalid(where, key, f"{name!r} is no {what}", remedy=f"{hint}known: {', '.join(known)}")


def _codes(where: str, key: str, codes: Codes, numbers: Mapping[str, int], outcomes: set[str]) -> None:
    for i, name in enumerate(codes.accept):
        _known(where, f"{key}.accept[{i}]", name, numbers, f"name in [abi.{key}]")
    _known(where, f"{key}.unsupported", codes.unsupported, outcomes, "outcome")
    _known(where, f"{key}.unknown", codes.unknown, outcomes, "outcome")
    for number, outcome in codes.codes.items():
        if not number.isdecimal() or int(number) > 0xFFFFFFFF:
            raise invalid(where, f"{key}.codes", f"{number!r} is no number", remedy='write "5" = "invalid_encoding"')
        _known(where, f"{key}.codes.{number}", outcome, outcomes, "outcome")


def _tensors(where: str, profile: FirmwareProfile, outcomes: set[str]) -> None:
    assert profile.abi is not None
    _known(where, "tensors.otherwise", profile.tensors.otherwise, outcomes, "outcome")
    for side, rules, transfers in (
        ("input", profile.tensors.input, INPUT_TRANSFERS),
        ("output", profile.tensors.output, OUTPUT_TRANSFERS),
    ):
        for i, rule in enumerate(rules):
            key = f"tensors.{side}[{i}]"
            _known(where, f"{key}.how", rule.how, {*transfers, *outcomes}, "transfer or outcome")
            _known(where, f"{key}.tensor", rule.tensor, {*_DTYPES, "any"}, "tensor type")
            _known(where, f"{key}.guest", rule.guest, {*profile.abi.tensor_types, "any"}, "name in [abi.tensor-types]")


def _functions(where: str, profile: FirmwareProfile, outcomes: set[str]) -> None:
    assert profile.abi is not None
    for function, program in profile.functions.items():
        _known(where, f"functions.{function}", function, {*PARAMETERS[profile.abi.layout], "exit"}, "function")
        before: set[str] = set()
        for i, step in enumerate(program):
            key = f"functions.{function}[{i}]"
            _step(where, key, step, outcomes)
            check_params(where, key, step, profile.abi, outcomes)
            after = STEPS[step["step"]].after
            if after and not before & set(after):
                raise invalid(
                    where, key, f"the step {step['step']} comes too early", remedy=f"put {' or '.join(after)} before it"
                )
            before.add(step["step"])


def _step(where: str, key: str, step: Mapping[str, Any], outcomes: set[str]) -> None:
    name = step.get("step")
    if not isinstance(name, str):
        raise invalid(where, key, "has no 'step'", remedy='write { step = "graph", fail = "invalid_argument" }')
    _known(where, f"{key}.step", name, STEPS, "step")
    kind = STEPS[name]
    allowed = {"step", "when", *kind.params, *(("fail",) if kind.needs_fail else ())}
    for param in step:
        if not param.startswith("x-"):
            _known(where, f"{key}.{param}", param, allowed, f"parameter of the step {name}")
    if kind.needs_fail:
        fail = step.get("fail")
        if not isinstance(fail, str):
            raise invalid(where, key, f"the step {name} has no 'fail'", remedy='add fail = "invalid_argument"')
        _known(where, f"{key}.fail", fail, outcomes, "outcome")
    if "when" in step:
        _known(where, f"{key}.when", str(step["when"]), CONDITIONS, "condition")


def step_table() -> str:
    """The vocabulary of steps as a table in Markdown."""
    lines = ["| step | parameters | `fail` | what it asks or does |", "|---|---|---|---|"]
    for name, kind in sorted(STEPS.items()):
        words = " ".join(kind.doc.split()).replace("``", "`").replace("|", "\\|")
        params = ", ".join(f"`{p}`" for p in kind.params)
        lines.append(f"| `{name}` | {params} | {'yes' if kind.needs_fail else ''} | {words} |")
    return "\n".join(lines) + "\n"
