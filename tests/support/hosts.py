"""The same run on both hosts, Python and native, and what differs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from lading_agent.engines.parts import EngineMissing
from lading_agent.runs.native import NativeRunner, native_runner

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lading_agent.runs.spec import RunSpec
    from tests.support.script_guest import Outcome, Script

INTERPRETER_WORDS = re.compile(r"(the interpreter (?:cannot \w+ the model|says): ).*(: \w+)$")
"""What follows is the interpreter's own message: each of its interfaces words it differently."""


def native() -> NativeRunner:
    """The native runner of this machine; the test is skipped where there is none."""
    try:
        return native_runner()
    except EngineMissing as error:
        pytest.skip(str(error))


def told(ran: Outcome) -> dict[str, Any]:
    """All that a user, or a guest, can tell a run by; figures and the interpreter's own log lines are left out."""
    # A run over its time ends by itself here, and the Python host is killed: only one of them has figures then.
    counted = {} if ran.result.kind == "time-limit" else ran.result.metrics
    logs = [e["text"] for e in ran.events if e["event"] == "log" and e["level"] == "error"]
    return {
        "errnos": ran.errnos,
        "end": ran.result.to_json() | {"metrics": {}},
        "calls": counted.get("calls"),
        "inferences": counted.get("inferences"),
        "stderr": ran.stderr,
        "events": [e for e in ran.events if e["event"] in ("tensor", "golden")],
        "log": [INTERPRETER_WORDS.sub(r"\1…\2", t) for t in logs if re.match(r"[a-z_]+: .*: [a-z_]+$", t, re.DOTALL)],
        "memory": ran.memory,
    }


def differences(ours: Outcome, python: Outcome) -> dict[str, Any]:
    """What the two hosts tell differently: the native one's word and the Python one's."""
    mine, theirs = told(ours), told(python)
    return {key: (mine[key], theirs[key]) for key in mine if mine[key] != theirs[key]}


def agree(script: Script, folder: Path, personality: Mapping[str, Any], **spec: Any) -> Outcome:
    """Run a script on both hosts; they agree call for call. Returns the native host's outcome."""
    python = script.run(folder, personality, **spec)
    ours = script.run(folder, personality, command=native(), **spec)
    found = differences(ours, python)
    assert not found, found
    return ours


def agree_on(spec: RunSpec, stdin: bytes = b"") -> Outcome:
    """The same for any run."""
    from tests.support.script_guest import run

    python = run(spec, stdin=stdin)
    ours = run(spec, stdin=stdin, command=native())
    found = differences(ours, python)
    assert not found, found
    return ours
