"""The suite passes what behaves, and names item, call, expected and actual of what does not."""

from __future__ import annotations

import json
import shlex
import sys
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from lading import profiles
from lading.conformance.junit import junit
from lading.conformance.run import conform
from lading.errors import UsageError
from lading.probe.predict import Predictor
from lading.probe.runners import CommandRunner
from tests.support.misbehaving import Misbehaving

if TYPE_CHECKING:
    from pathlib import Path

    from lading.probe.script import RawCall

HOSTS = {id_: profile for id_, profile in profiles.load_all().items() if profile.runs_guests}


@pytest.mark.parametrize("id_", HOSTS)
def test_every_profile_conforms_to_itself(id_: str) -> None:
    profile = HOSTS[id_]
    result = conform(Predictor(profile.resolved()), profile, id_, unsafe=True)
    assert result.passed
    assert result.count("passed") > 250


def test_one_wrong_errno_is_found_and_explained() -> None:
    def change(call: RawCall, errno: int) -> int:
        return 5 if call.function == "get_output" and errno == 7 else errno

    profile = HOSTS["lading-litert"]
    result = conform(Misbehaving(profile.resolved(), change), profile, "faulty", unsafe=True)
    failed = {v.item: v for v in result.verdicts if v.state == "failed"}
    assert set(failed) == {"output/small", "output/none"}
    verdict = failed["output/small"]
    assert verdict.call == "get_output(index 0, size 8)"
    assert verdict.expected.startswith("errno 7")
    assert verdict.actual.startswith("errno 5")
    assert "expected errno 7" in verdict.why


def test_another_firmware_fails_where_it_differs() -> None:
    result = conform(Predictor(HOSTS["wasmedge-0.14"].resolved()), HOSTS["wasmedge-0.17"], "older", unsafe=True)
    failed = [v.item for v in result.verdicts if v.state == "failed"]
    assert "type/u8/3-own" in failed
    assert "load/model/garbage" not in failed


def test_what_was_not_tried_is_skipped_and_says_why() -> None:
    profile = HOSTS["wasi-nn-witx"]
    result = conform(Predictor(profile.resolved(), named=False), profile, "x", named=False)
    why = {v.item: v.why for v in result.verdicts if v.state == "skipped"}
    assert "--unsafe" in why["limit/graphs"]
    assert "model" in why["name/known/known"] or "--unsafe" in why["name/known/known"]
    assert "says nothing" in why["wasm/gc"]


def test_a_group_that_does_not_exist_is_refused() -> None:
    profile = HOSTS["wasi-nn-witx"]
    with pytest.raises(UsageError, match="no group 'outputs'") as caught:
        conform(Predictor(profile.resolved()), profile, "x", only=["outputs"])
    assert "output" in caught.value.remedy


def test_a_profile_without_guests_is_refused() -> None:
    with pytest.raises(UsageError, match="hosts no core modules"):
        conform(lambda _: [], profiles.find("wasmtime-wit"), "x")


def test_junit_has_every_item(tmp_path: Path) -> None:
    profile = HOSTS["lading-litert"]
    result = conform(Misbehaving(profile.resolved(), lambda _c, e: 9 if e == 8 else e), profile, "f\x00<y>")
    (root,) = ET.fromstring(junit(result))
    assert int(root.attrib["tests"]) == len(result.verdicts) == len(root.findall("testcase"))
    assert int(root.attrib["failures"]) == len(root.findall("testcase/failure")) > 0
    assert root.find("testcase/failure") is not None
    json.dumps(result.to_json())


def emulate(personality: str) -> str:
    main = "from lading.cli.main import main; main()"
    words = [sys.executable, "-c", main, "emulate", "--personality", personality]
    return " ".join([*map(shlex.quote, words), "--model", "lading-probe={model}", "{module}"])


@pytest.mark.parametrize(("id_", "groups"), [("wasmedge-0.17", ["output", "name"]), ("wamr-2.4", ["input", "end"])])
def test_any_command_can_be_judged(id_: str, groups: list[str]) -> None:
    runner = CommandRunner(emulate(id_), at_once=2)
    result = conform(runner, HOSTS[id_], "command", unsafe=True, only=groups)
    assert [v.why for v in result.verdicts if v.state == "failed"] == []
    assert result.count("passed") >= 10


def test_a_command_without_a_place_for_the_module_is_refused() -> None:
    with pytest.raises(UsageError, match="no place for the module"):
        CommandRunner("wasmedge --dir .:.")
    with pytest.raises(UsageError, match="cannot be read"):
        CommandRunner("wasmedge '{module}")


def test_a_program_that_is_not_there_is_named() -> None:
    profile = HOSTS["wasi-nn-witx"]
    with pytest.raises(UsageError, match="/nowhere/iwasm cannot be started"):
        conform(CommandRunner("/nowhere/iwasm {module}"), profile, "x", only=["output"], named=False)


def test_a_program_that_prints_nonsense_fails_every_item_and_nothing_else() -> None:
    program = "import sys; sys.stdout.buffer.write(bytes(range(256)) * 400 + b'\\n@lading call 0 zz\\n@lading end')"
    profile = HOSTS["wasi-nn-witx"]
    command = f"{shlex.quote(sys.executable)} -Sc {shlex.quote(program)} {{module}}"
    result = conform(CommandRunner(command), profile, "x", only=["output"], named=False)
    assert result.count("passed") == 0
    assert result.count("failed") == 8


def test_a_program_that_writes_without_end_is_ended() -> None:
    program = "import sys\nwhile True: sys.stdout.buffer.write(bytes(65536))"
    command = f"{shlex.quote(sys.executable)} -Sc {shlex.quote(program)} {{module}}"
    result = conform(CommandRunner(command), HOSTS["wasi-nn-witx"], "x", only=["module"], named=False)
    assert result.count("passed") == 0
    assert all("wrote more than" in v.why for v in result.verdicts if v.state == "failed")
