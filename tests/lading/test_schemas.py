"""The JSON Schemas in docs/schemas are those of the files as they are read now."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lading import schemas
from lading.profiles.rules import step_table

FOLDER = Path(__file__).parents[2] / "docs" / "schemas"
DOCUMENTS = schemas.documents()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_written_schema_is_current(name: str) -> None:
    written = json.loads((FOLDER / f"{name}.schema.json").read_text(encoding="utf-8"))
    assert written == json.loads(json.dumps(DOCUMENTS[name])), "run scripts/build-schemas"


def test_no_other_schema_lies_there() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {f"{name}.schema.json" for name in DOCUMENTS}


def test_a_profile_that_extends_another_need_not_say_everything() -> None:
    tables = DOCUMENTS["firmware-profile"]["$defs"]
    assert tables["FirmwareProfile"]["required"] == ["schema"]
    assert tables["Abi"]["required"] == []


def test_a_target_has_to_say_what_it_is() -> None:
    table = DOCUMENTS["target"]["$defs"]["TargetTable"]
    assert {"schema", "title", "kind", "cpu", "memory"} <= set(table["required"])
    assert table["additionalProperties"] is False
    assert "^x-" in table["patternProperties"]


def test_the_page_about_profiles_lists_the_steps_that_there_are() -> None:
    page = (FOLDER.parent / "profiles.md").read_text(encoding="utf-8")
    assert page.endswith(step_table()), "run scripts/build-schemas"
