"""What is installed from the wheel is whole: every target and firmware profile loads from it."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.examples import EXAMPLES, ROOT
from tests.support.tests_of_users import run_pytest

if TYPE_CHECKING:
    from pathlib import Path

TARGETS = sorted(path.stem for path in (ROOT / "targets").glob("*.toml"))
ENGINES = sorted(path.stem for path in (ROOT / "engines").glob("*.toml"))
PROFILES = sorted(path.stem for path in (ROOT / "firmware_profiles").glob("*.toml"))

LOOK = """
import importlib.metadata, importlib.resources, json, sys
import lading, lading_agent
from lading import engines, profiles, targets
from lading.client.zipapp import build_agent
found = {
    "files": [lading.__file__, lading_agent.__file__],
    "version": lading.__version__,
    "agent": len(build_agent()),
    "targets": {name: targets.find("target:" + name).resolved() for name in targets.ids()},
    "profiles": {name: profiles.find(name).resolved() for name in profiles.ids()},
    "engines": {e.path.stem: e.wheel("aarch64").file for e in engines.load_all()},
    "runners": {a: engines.runner_binary(a).size for a in engines.ARCHITECTURES},
    "typed": [importlib.resources.files(name).joinpath("py.typed").is_file() for name in ("lading", "lading_agent")],
}
json.dump(found, sys.stdout, default=str)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built of the source tree."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--disable-pip-version-check", "-w", str(folder)]
    if importlib.util.find_spec("hatchling"):
        command.append("--no-build-isolation")
    built = subprocess.run([*command, str(ROOT)], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (path,) = folder.glob("lading-*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, installed into a folder of its own."""
    folder = tmp_path_factory.mktemp("installed")
    options = ["--no-deps", "--no-index", "--disable-pip-version-check", "--quiet", "--target", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(wheel)], check=True)
    return folder


def fresh(installed: Path, cwd: Path, *command: str) -> str:
    """What a fresh interpreter says that sees the installed packages first, and no source tree."""
    env = {
        "PYTHONPATH": str(installed),
        "HOME": str(cwd),
        "XDG_CONFIG_HOME": str(cwd / "config"),
        "PATH": "/usr/bin:/bin",
    }
    ran = subprocess.run(
        [sys.executable, "-P", *command], capture_output=True, text=True, check=False, cwd=cwd, env=env
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_every_target_and_firmware_profile_loads_from_the_installed_wheel(installed: Path, tmp_path: Path) -> None:
    found: dict[str, Any] = json.loads(fresh(installed, tmp_path, "-c", LOOK))
    assert all(file.startswith(str(installed)) for file in found["files"])
    assert found["agent"] > 10_000, "the agent for devices is made of what is installed"
    assert sorted(found["targets"]) == TARGETS
    assert sorted(found["profiles"]) == PROFILES
    assert sorted(found["engines"]) == ENGINES
    assert all(size > 50_000 for size in found["runners"].values())
    assert "raspberry-pi-4b" in found["targets"]
    assert "lading-litert" in found["profiles"]
    for name, target in found["targets"].items():
        assert (target["id"], bool(target["name"]), bool(target["architecture"])) == (name, True, True)
    for name, profile in found["profiles"].items():
        assert profile["id"] == name
    assert found["typed"] == [True, True]


def test_the_wheel_holds_both_packages_the_runner_and_nothing_that_is_ours_alone(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"lading", "lading_agent", "lading_runner"}
    for name in TARGETS:
        assert f"lading/data/targets/{name}.toml" in names
    assert {"lading/py.typed", "lading_agent/py.typed", "lading_agent/__main__.py"} <= set(names)
    assert {"lading/variants/page.css", "lading/variants/page.js"} <= set(names)
    runners = {f"lading_runner/bin/{n}" for n in ("lading-runner-x86_64", "lading-runner-aarch64", "symbols.json")}
    assert {name for name in names if name.startswith("lading_runner/")} == runners
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    assert not [name for name in names if "test" in name.split("/")[-1] or "__pycache__" in name]


def test_the_installed_command_works(installed: Path, tmp_path: Path) -> None:
    assert fresh(installed, tmp_path, str(installed / "bin" / "lading"), "--version").startswith("lading ")
    device = f"emulated://raspberry-pi-4b?state={tmp_path / 'board'}"
    project = str(ROOT / "examples" / "stream")
    bundle = str(tmp_path / "stream.lading")
    fresh(installed, tmp_path, str(installed / "bin" / "lading"), "pack", project, "-o", bundle)
    out = fresh(installed, tmp_path, str(installed / "bin" / "lading"), "deploy", bundle, device)
    assert "at dawn" in out


def test_the_installed_pytest_plugin_works(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        "import lading.pytest_plugin.hooks as hooks\n"
        f"def pytest_report_header(config):\n    assert hooks.__file__.startswith({str(installed)!r})\n"
        "    return 'of the wheel'\n"
    )
    digits = shutil.copytree(EXAMPLES / "digits", tmp_path / "digits", ignore=shutil.ignore_patterns("dist"))
    words = ("--lading-device", "emulated://raspberry-pi-4b", "-k", "recorded or machine", digits)
    said = run_pytest(tmp_path, *words, home=tmp_path, pythonpath=installed)
    assert "of the wheel" in said
    assert "2 passed" in said
