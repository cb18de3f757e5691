"""A conformance report as JUnit XML."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.junit import Case, document

if TYPE_CHECKING:
    from lading.conformance.run import Conformance


def junit(conformance: Conformance) -> str:
    """One test suite; a test case for each item, its class the group."""
    cases = [
        Case(
            group=verdict.group,
            name=verdict.item,
            state=verdict.state,
            why=verdict.why,
            text="\n".join((verdict.about, *verdict.calls)) if verdict.state == "failed" else "",
        )
        for verdict in conformance.verdicts
    ]
    return document(f"wasi-nn conformance of {conformance.subject} with {conformance.profile}", cases)
