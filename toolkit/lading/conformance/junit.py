"""A conformance report as JUnit XML."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from lading.conformance.run import Conformance


def junit(conformance: Conformance) -> str:
    """One test suite; a test case for each item, its class the group."""
    root = ET.Element(
        "testsuite",
        name=_clean(f"wasi-nn conformance of {conformance.subject} with {conformance.profile}"),
        tests=str(len(conformance.verdicts)),
        failures=str(conformance.count("failed")),
        skipped=str(conformance.count("skipped")),
        errors="0",
    )
    for verdict in conformance.verdicts:
        case = ET.SubElement(root, "testcase", classname=verdict.group, name=verdict.item)
        if verdict.state == "failed":
            failure = ET.SubElement(case, "failure", message=_clean(verdict.why))
            failure.text = _clean("\n".join((verdict.about, *verdict.calls)))
        elif verdict.state == "skipped":
            ET.SubElement(case, "skipped", message=_clean(verdict.why))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _clean(text: str) -> str:
    """Without characters that XML cannot hold."""
    return "".join(
        c if c in "\t\n" or (c >= " " and not "\ud800" <= c <= "\udfff" and c < "\ufffe") else "?" for c in text
    )
