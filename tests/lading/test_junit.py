"""JUnit XML: one writer, and nothing that XML cannot hold."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from lading.client.results import PushResult, RunResult
from lading.deploy import Deployed
from lading.deploy_junit import junit
from lading.errors import CheckRefused, ConnectionRefused, GoldenMismatch
from lading.junit import Case, document


@given(st.text(), st.text(), st.text())
def test_any_text_makes_a_document(group: str, name: str, why: str) -> None:
    (suite,) = ET.fromstring(document(name, [Case(group, name, "failed", why, why, why, why), Case(group, name)]))
    assert (suite.attrib["tests"], suite.attrib["failures"], suite.attrib["errors"]) == ("2", "1", "0")
    assert len(suite) == 2


def test_a_deploy_has_a_case_for_each_of_its_steps() -> None:
    push = PushResult.from_json(
        {
            "app": "digits",
            "release": "1.0.0-0123456789abcdef",
            "golden": [{"index": 0, "model": "digits"}],
            "smoke": [{"index": 0, "args": ["--self-test"]}],
        }
    )
    results = [
        Deployed("good", push, RunResult("exit", 0, "exit"), checked=True),
        Deployed("status", push, RunResult("exit", 3, "exit"), checked=True),
        Deployed("refused", error=CheckRefused("it fails at set_input", remedy="convert the model"), checked=True),
        Deployed("wrong", error=GoldenMismatch("tensor y[0] is 1, expected 9"), checked=True),
        Deployed("away", error=ConnectionRefused("nobody listens")),
    ]
    (suite,) = ET.fromstring(junit(results, {"good": "hello"}))
    assert suite.attrib["name"] == "lading deploy digits"
    found = {(c.attrib["classname"], c.attrib["name"]): [e.tag for e in c] for c in suite}
    assert [name for device, name in found if device == "good"] == [
        "check",
        "push",
        "golden vector 1 of digits",
        "smoke run 1 --self-test",
        "run",
    ]
    assert found["good", "run"] == ["system-out"]
    assert found["status", "run"] == ["failure"]
    assert found["refused", "check"] == ["failure"]
    assert found["wrong", "golden vectors"] == ["failure"]
    assert found["away", "connect"] == ["error"]
    assert (suite.attrib["failures"], suite.attrib["errors"]) == ("3", "1")
    assert "convert the model" in ET.tostring(suite, encoding="unicode")
