"""Runs the steps of ``action.yml`` as GitHub's runner does: expressions filled in, bash, files for path and outputs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.examples import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

_EXPRESSION = re.compile(r"\$\{\{\s*(inputs|steps)\.([\w.-]+)\s*\}\}")


@dataclass(frozen=True)
class Done:
    """A job that has ended."""

    status: int
    outputs: Mapping[str, str]
    summary: str
    log: str


def read_yaml(path: Path) -> Any:
    """A YAML file."""
    from ruamel.yaml import YAML

    return YAML(typ="safe").load(path)


def run_action(folder: Path, inputs: Mapping[str, str], *, cwd: Path, only: str = "") -> Done:
    """Run the composite action's own steps.

    Args:
        folder: the runner's temporary folder and the user's home.
        inputs: the action's inputs; the others have their defaults.
        cwd: the workspace.
        only: the name of the one step to run; all of them else.
    """
    action = read_yaml(ROOT / "action.yml")
    given = {name: str(spec.get("default", "")) for name, spec in action["inputs"].items()} | dict(inputs)
    for name in ("path", "output", "summary"):
        (folder / name).touch()
    env = {
        "HOME": str(folder),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "LANG": "C.UTF-8",
        "RUNNER_TEMP": str(folder / "temp"),
        "GITHUB_ACTION_PATH": str(ROOT),
        "GITHUB_PATH": str(folder / "path"),
        "GITHUB_OUTPUT": str(folder / "output"),
        "GITHUB_STEP_SUMMARY": str(folder / "summary"),
        **{name: value for name, value in os.environ.items() if name.startswith("PIP_") or name == "TMPDIR"},
        "PIP_NO_WARN_SCRIPT_LOCATION": "1",
        # What lading needs is installed here already.
        "PYTHONPATH": next(path for path in sys.path if path.endswith("site-packages")),
    }
    log: list[str] = []
    status = 0
    for step in action["runs"]["steps"]:
        if "run" not in step or (only and step["name"] != only):
            continue
        if status and step.get("if") != "always()":
            continue
        added = (folder / "path").read_text().split()
        path = os.pathsep.join([*reversed(added), str(Path(sys.executable).parent), "/usr/bin", "/bin"])
        ours = {name: _filled(value, given) for name, value in step.get("env", {}).items()}
        assert step["shell"] == "bash"
        ran = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", _filled(step["run"], given)],
            cwd=cwd,
            env={**env, "PATH": path, **ours},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        log += [ran.stdout, ran.stderr]
        status = status or ran.returncode
    lines = (folder / "output").read_text().splitlines()
    outputs = dict(line.split("=", 1) for line in lines)
    return Done(status, outputs, (folder / "summary").read_text(), "".join(log))


def _filled(text: str, inputs: Mapping[str, str]) -> str:
    return _EXPRESSION.sub(lambda match: inputs[match[2]], text)
