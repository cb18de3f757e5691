"""JUnit XML, as CI systems read it: one writer for every verb that has a ``--junit``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Sequence

State = Literal["passed", "failed", "error", "skipped"]


@dataclass(frozen=True)
class Case:
    """One test case."""

    group: str
    """What JUnit calls its class."""
    name: str
    state: State = "passed"
    why: str = ""
    """In a sentence, where it did not pass."""
    text: str = ""
    """More of it."""
    kind: str = ""
    """A short stable name of what went wrong."""
    output: str = ""
    time_s: float | None = None


def document(name: str, cases: Sequence[Case]) -> str:
    """A document of one test suite."""

    def count(state: State) -> str:
        return str(sum(case.state == state for case in cases))

    root = ET.Element("testsuites")
    suite = ET.SubElement(
        root,
        "testsuite",
        name=clean(name),
        tests=str(len(cases)),
        failures=count("failed"),
        errors=count("error"),
        skipped=count("skipped"),
    )
    for case in cases:
        time = {} if case.time_s is None else {"time": f"{case.time_s:.3f}"}
        element = ET.SubElement(suite, "testcase", {"classname": clean(case.group), "name": clean(case.name)} | time)
        if case.state != "passed":
            tag = {"failed": "failure", "error": "error", "skipped": "skipped"}[case.state]
            said = ET.SubElement(element, tag, message=clean(case.why))
            if case.kind and case.state != "skipped":
                said.set("type", clean(case.kind))
            if case.text:
                said.text = clean(case.text)
        if case.output:
            ET.SubElement(element, "system-out").text = clean(case.output)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def clean(text: str) -> str:
    """The text with a question mark for each character that XML cannot hold."""
    return "".join(
        c
        if c in "\t\n\r" or (c >= " " and c != "\x7f" and not "\ud800" <= c <= "\udfff" and c not in "\ufffe\uffff")
        else "?"
        for c in text
    )
