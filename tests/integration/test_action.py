"""The GitHub action and the workflow: valid by the published schemas, and their steps do what docs/ci.md says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from tests.support.examples import EXAMPLES, ROOT
from tests.support.workflow import read_yaml, run_action

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.workflow import Done

    Act = Callable[..., Done]

WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
ACTION = ROOT / "action.yml"


@pytest.fixture
def act(tmp_path: Path) -> Act:
    """Run the action's last step in a workspace that holds the digits example."""
    (tmp_path / "runner").mkdir()
    work = tmp_path / "work"
    ignore = shutil.ignore_patterns("dist", "tests", "*.c", "*.py")
    shutil.copytree(EXAMPLES / "digits", work / "app", ignore=ignore)

    def run(only: str = "lading", **inputs: str) -> Done:
        return run_action(tmp_path / "runner", {"project": "app", **inputs}, cwd=work, only=only)

    return run


@pytest.mark.parametrize(
    ("path", "schema"), [(WORKFLOW, "vendor.github-workflows"), (ACTION, "vendor.github-actions")], ids=["ci", "action"]
)
def test_the_published_schemas_accept_them(path: Path, schema: str) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_script_that_they_start_is_there_and_may_be_started() -> None:
    steps = [*read_yaml(ACTION)["runs"]["steps"]]
    steps += [step for job in read_yaml(WORKFLOW)["jobs"].values() for step in job["steps"]]
    found = [
        word.strip('"').replace("$GITHUB_ACTION_PATH", str(ROOT))
        for step in steps
        for word in str(step.get("run", "")).split()
        if word.strip('"').startswith(("./", "$GITHUB_ACTION_PATH"))
    ]
    assert len(found) >= 6
    for path in found:
        assert os.access(ROOT / path, os.X_OK), path


def test_no_input_is_pasted_into_a_command() -> None:
    """Whoever opens a pull request chooses some inputs: they go by way of the environment."""
    for path in (ACTION, WORKFLOW):
        jobs = [read_yaml(path)["runs"]] if path is ACTION else list(read_yaml(path)["jobs"].values())
        for step in (step for job in jobs for step in job["steps"]):
            assert "${{" not in str(step.get("run", "")), step


def test_the_whole_action_installs_and_deploys(tmp_path: Path, act: Act) -> None:
    done = act(only="", junit="reports/lading.xml")
    assert done.status == 0, done.log
    assert done.outputs == {"junit": "reports/lading.xml", "result": "passed"}
    assert str(tmp_path / "runner" / "temp") in (tmp_path / "runner" / "path").read_text()
    (suite,) = ET.parse(tmp_path / "work" / "reports" / "lading.xml").getroot()
    assert [case.attrib["name"] for case in suite][-1] == "run"
    assert "5 passed" in done.summary
    assert "| emulated://raspberry-pi-4b | run | passed |" in done.summary


def test_several_devices_and_words_of_ones_own(act: Act) -> None:
    devices = "emulated://raspberry-pi-4b emulated://raspberry-pi-zero-2-w"
    done = act(device=devices, arguments="--no-run --keep 2")
    assert done.status == 0, done.log
    assert "| emulated://raspberry-pi-zero-2-w | push | passed |" in done.summary
    assert "| run |" not in done.summary


def test_a_check_that_says_no_fails_the_job_and_leaves_its_report(tmp_path: Path, act: Act) -> None:
    done = act(command="check", device="wasmtime-wit lading-litert", arguments="--require all")
    assert done.status == 1
    assert done.outputs["result"] == "failed"
    assert "1 passed, 1 failed" in done.summary
    assert "| digits 1.0.0 | wasmtime-wit | failed |" in done.summary
    assert "::error::lading check ended with status 1" in done.log
    assert (tmp_path / "work" / "lading-junit.xml").is_file()


def test_a_deploy_that_the_device_refuses(tmp_path: Path, act: Act) -> None:
    golden = tmp_path / "work" / "app" / "golden" / "int8" / "probabilities.npy"
    np.save(golden, np.load(golden) ^ 0x55)
    done = act()
    assert done.status == 1
    assert "| golden vectors | failed | golden vector 1 of model digits came out wrong" in done.summary


def test_a_conformance_run(act: Act) -> None:
    done = act(command="conformance", arguments="--group name")
    assert done.status == 0, done.log
    assert "wasi-nn conformance of emulated://raspberry-pi-4b" in done.summary


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"command": "destroy"}, "command is 'destroy', not deploy, check or conformance"),
        ({"device": " "}, "no device: set the input 'device'"),
        ({"command": "conformance", "device": "a b"}, "judges one device, and 2 are given"),
        ({"device": "$(touch hacked) `touch hacked` *"}, "::error::lading deploy ended with status 2"),
        ({"project": "nowhere"}, "::error::lading deploy ended with status 2"),
    ],
)
def test_wrong_inputs_are_said_on_the_page(tmp_path: Path, act: Act, inputs: dict[str, str], said: str) -> None:
    done = act(**inputs)
    assert done.status == 2
    assert said in done.log
    assert not list(tmp_path.rglob("hacked"))


def test_boards_are_started_with_what_they_need_and_end(tmp_path: Path) -> None:
    """With a stand-in for lading and for apt-get: which packages are asked for, and that every board ends."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, text in {
        "lading": f"""echo "lading $*" >> {tmp_path}/said
if [ "$2" = up ] && [ ! -e {tmp_path}/installed ]; then
  echo '{{"error": {{"message": "m", "details": {{"packages": ["qemu-system-arm", "uidmap"]}}}}}}'; exit 1
fi
echo '{{}}' """,
        "apt-get": f'echo "apt-get $*" >> {tmp_path}/said; touch {tmp_path}/installed',
        "sudo": 'exec "$@"',
        "tee": "cat > /dev/null",
    }.items():
        (tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (tools / name).chmod(0o755)
    path = f"{tools}:{Path(sys.executable).parent}:/usr/bin:/bin"
    env = {"PATH": path, "LADING_DEVICE": "emulated://x board://debian-arm64#UART board://debian-arm64 board://small"}
    script = ROOT / "scripts" / "action" / "boards"
    subprocess.run([script], env=env, check=True, capture_output=True)
    subprocess.run([script, "down"], env=env, check=True, capture_output=True)
    assert (tmp_path / "said").read_text().splitlines() == [
        "lading board up debian-arm64 --json",
        "apt-get update -qq",
        "apt-get install -y -qq --no-install-recommends qemu-system-arm uidmap",
        "lading board up debian-arm64 --json",
        "lading board up small --json",
        "lading board down debian-arm64 --json",
        "lading board down small --json",
    ]
