"""The native runner: its command lines, and which firmware profiles it speaks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, Final, List, Mapping, Optional, Tuple

from lading_agent.engines import packages

if TYPE_CHECKING:
    from pathlib import Path

    from lading_agent.engines.parts import EngineSet
    from lading_agent.runs.spec import RunSpec

STEPS: Final[Dict[str, Tuple[str, ...]]] = {
    "memory": (),
    "readable": ("what",),
    "encoding": (),
    "target": (),
    "builder-count": ("count",),
    "backend": (),
    "model-size": (),
    "graph-slot": (),
    "given-model": (),
    "claim-graph": (),
    "named-model": (),
    "named-model-loads": (),
    "operators": (),
    "graph": (),
    "context-slot": (),
    "tensors": ("dimensions",),
    "prepare": (),
    "claim-context": (),
    "context": (),
    "input-index": (),
    "input-type": (),
    "dims": ("match",),
    "data-length": (),
    "put-input": (),
    "invoke": (),
    "output-index": (),
    "computed": ("by",),
    "output-type": (),
    "capacity": ("write", "unit"),
    "put-output": ("unit",),
    "state-tensors": (),
    "invoke-step": (),
    "reset-steps": (),
    "drop-graph": (),
    "drop-context": (),
}
"""The native runner's steps, with the parameters that it honours beside ``fail``, as in its ``profile.c``."""

_TRANSFERS: Final = {"input": ("truncate", "drop"), "output": ("zeros", "clear")}
"""Transfers that are left to the Python host."""


@dataclass(frozen=True)
class NativeRunner:
    """A :data:`~lading_agent.runs.launch.RunnerCommand`: the program and its engines."""

    engines: EngineSet
    code: Optional[Path] = None
    """The folder for the module's compiled code; None: it is compiled each time."""

    def __call__(self, spec: RunSpec) -> List[str]:  # noqa: ARG002
        """The command for a run."""
        litert = self.engines.litert
        words = ["--litert", str(litert.path), "--litert-version", litert.version]
        return [str(self.engines.runner.path), "run", *self._wasmtime(), *words]

    def compile(self, spec: RunSpec) -> List[str]:
        """The command that compiles a run's module ahead, into :attr:`code`."""
        features = (spec.personality.get("wasm") or {}).get("features") or {}
        words = ["--module", spec.module, "--module-digest", spec.module_digest, "--features", json.dumps(features)]
        return [str(self.engines.runner.path), "compile", *self._wasmtime(), *words]

    def _wasmtime(self) -> List[str]:
        wasmtime = self.engines.wasmtime
        words = ["--wasmtime", str(wasmtime.path), "--wasmtime-version", wasmtime.version]
        if self.code is None:
            return words
        return [*words, "--code", str(self.code), "--wasmtime-digest", wasmtime.digest]


def native_runner(program: Optional[Path] = None) -> NativeRunner:
    """The native runner of this machine, over the installed packages' engines, whatever state they are in.

    Args:
        program: another build of the runner than the one that lading brings.

    Raises:
        EngineMissing: this machine cannot have one, or an engine is not installed.
    """
    return NativeRunner(packages.installed(program=program))


def unspoken(profile: Mapping[str, Any]) -> str:
    """What of a resolved firmware profile the native runner cannot do; empty when it can do all of it.

    The runner refuses by itself what it does not know: this says it before one is started.
    """
    functions = profile.get("functions") or {}
    layout = (profile.get("abi") or {}).get("layout")
    backend = profile.get("backend", "litert")
    if not functions:
        return "it hosts no core modules"
    if layout != "witx":
        return f"the layout {layout!r}"
    if backend not in ("litert", "none"):
        return f"the backend {backend!r}"
    for side, transfers in _TRANSFERS.items():
        for rule in (profile.get("tensors") or {}).get(side) or ():
            if rule.get("how") in transfers:
                return f"tensors that pass by {rule.get('how')!r}"
    if "exit" in functions:
        return "steps when the guest ends"
    for program in functions.values():
        for step in program:
            why = _unspoken_step(step)
            if why:
                return why
    return ""


def _unspoken_step(step: Mapping[str, Any]) -> str:
    name = step.get("step")
    params = STEPS.get(str(name))
    if params is None:
        return f"the step {name!r}"
    for key in step:
        if key not in ("step", "fail", *params) and not key.startswith("x-"):
            return f"the step {name!r} with {key!r}"
    if name == "prepare" and step.get("fail") == "success":
        return f"going on when the step {name!r} fails"
    if step.get("unit", "bytes") != "bytes":
        return f"sizes in {step['unit']}"
    return ""
