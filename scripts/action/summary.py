"""Prints a JUnit XML file as a table in Markdown: ``summary.py FILE``."""

from __future__ import annotations

import sys
from xml.etree import ElementTree as ET

MOST = 200
"""Rows; a conformance run has hundreds of cases, of which those that did not pass are shown."""
WORDS = {"failure": "failed", "error": "error", "skipped": "skipped"}


def main() -> None:
    """Print the table."""
    for suite in ET.parse(sys.argv[1]).getroot():
        rows = [row(case) for case in suite.iter("testcase")]
        count = {word: sum(r[2] == word for r in rows) for word in ("passed", *WORDS.values())}
        print(f"### {cell(suite.get('name', ''))}\n")
        print(", ".join(f"{number} {word}" for word, number in count.items() if number) or "nothing was run")
        shown = rows if len(rows) <= MOST else [r for r in rows if r[2] in ("failed", "error")][:MOST]
        if shown:
            print("\n| | case | result | why |\n|---|---|---|---|")
            for r in shown:
                print("|", " | ".join(map(cell, r)), "|")
        print()


def row(case: ET.Element) -> tuple[str, str, str, str]:
    """Class, name, result and why."""
    wrong = next((child for child in case if child.tag in WORDS), None)
    said = ("passed", "") if wrong is None else (WORDS[wrong.tag], wrong.get("message", ""))
    return case.get("classname", ""), case.get("name", ""), *said


def cell(text: str) -> str:
    """Text that stays in its cell, whatever is in it."""
    plain = " ".join(text.split())[:300].replace("&", "&amp;").replace("<", "&lt;")
    return "".join(f"\\{c}" if c in "\\|`*_[]" else c for c in plain)


if __name__ == "__main__":
    main()
