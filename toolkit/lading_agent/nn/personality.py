"""A personality: a resolved firmware profile, compiled so that each call is decided by closures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional, Tuple

from lading_agent.nn import rules_handles, rules_load, rules_run  # noqa: F401  (they register the steps)
from lading_agent.nn.decode import PARAMETERS
from lading_agent.nn.rules import Policy, Step, compile_program

SCHEMA = 1


@dataclass(frozen=True)
class HostFunction:
    """One function of the wasi-nn module."""

    name: str
    params: Tuple[str, ...]
    program: Tuple[Step, ...]


@dataclass(frozen=True)
class Personality:
    """How a host behaves. Made from the resolved profile; see ``docs`` of the profiles for every key."""

    id: str
    modules: Tuple[str, ...]
    """The import modules under which the functions are offered."""
    policy: Policy
    functions: Mapping[str, HostFunction]
    at_exit: Tuple[Step, ...]
    """Steps when the guest ends (a host that crashes then)."""
    unknown_import: str
    """``refuse`` or ``trap`` (link, trap when called)."""
    statuses: Mapping[str, int]
    """Exit status of the real process by kind of end."""
    wasm_features: Mapping[str, bool]
    wasi_modules: Tuple[str, ...]
    limits: Mapping[str, Optional[int]]
    """``graphs``, ``contexts``, ``model_bytes``: the firmware's own; absent means the run's."""

    @classmethod
    def from_json(cls, doc: Mapping[str, Any], *, backend: Optional[str] = None) -> Personality:
        """Compile a resolved profile.

        Args:
            doc: what ``FirmwareProfile.resolved()`` gave.
            backend: overrides the profile's backend (``none`` for a host without one).

        Raises:
            ValueError: it is of a newer schema, or describes a firmware that hosts no core module.
        """
        if doc.get("schema", SCHEMA) != SCHEMA:
            raise ValueError(f"firmware profile schema {doc['schema']!r} is not {SCHEMA}: update the runner")
        if not doc.get("functions"):
            raise ValueError(f"firmware profile {doc.get('id')!r} hosts no core modules: guests cannot be run on it")
        policy = Policy({**doc, **({"backend": backend} if backend is not None else {})})
        params = PARAMETERS[policy.layout]
        functions: Dict[str, HostFunction] = {
            name: HostFunction(name, params[name], compile_program(steps))
            for name, steps in doc["functions"].items()
            if name != "exit"
        }
        if policy.backend == "none" and doc["link"].get("without_backend") == "unlinked":
            functions = {}
        return cls(
            id=doc["id"],
            modules=tuple(doc["abi"]["modules"]),
            policy=policy,
            functions=functions,
            at_exit=compile_program(doc["functions"].get("exit", ())),
            unknown_import=doc["link"]["unknown_import"],
            statuses=dict(doc["statuses"]),
            wasm_features=dict(doc.get("wasm", {}).get("features", {})),
            wasi_modules=tuple(doc["link"]["wasi"]),
            limits=dict(doc.get("limits", {})),
        )

    def status(self, kind: str) -> int:
        """Exit status for a kind of end (``trap``, ``link_error``, ``abort``, …)."""
        return self.statuses[kind]
