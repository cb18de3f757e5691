"""Compiling a release's guest ahead of its first run, where the runner keeps compiled code.

Nothing depends on it: what cannot be compiled ahead is told, and the smoke runs or the first run say what is wrong.
"""

from __future__ import annotations

import json
import subprocess
import time
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Protocol, runtime_checkable

from lading_agent.runs.spec import RunSpec
from lading_agent.serve.runtimes import acted

if TYPE_CHECKING:
    from lading_agent.bill import Bill
    from lading_agent.serve.device import Served
    from lading_agent.serve.exchange import Exchange
    from lading_agent.store.releases import Release

PATIENCE_S = 600.0
POLL_S = 0.05
OUTPUT_SHOWN = 500


@runtime_checkable
class Compiler(Protocol):
    """A :data:`~lading_agent.runs.launch.RunnerCommand` that can compile ahead."""

    def compile(self, spec: RunSpec) -> Optional[List[str]]:
        """The command that compiles a run's module; None where there is nothing to be compiled."""
        ...


def compile_ahead(served: Served, exchange: Exchange, bill: Bill, release: Release) -> Dict[str, Any]:
    """Compile a release's guest; a failure is told as a log line.

    Returns:
        ``state`` (``compiled``, ``present``, ``failed``, or ``off`` where code is not kept), ``bytes`` and ``ms``.
    """
    if not acted(served, release.runtime or bill.app.runtime):
        return {"state": "off"}  # the device's own runtime runs it
    module = bill.variant(release.variant).module
    spec = RunSpec(
        str(served.layout.blob(module.digest)), served.profile, module_digest=module.digest, engines=bill.engines
    )
    words = served.runner.compile(spec) if isinstance(served.runner, Compiler) else None
    if words is None:
        return {"state": "off"}
    try:
        told = _run(words, exchange)
    except (OSError, subprocess.SubprocessError, TypeError, ValueError) as error:
        exchange.event("log", level="warning", text=f"the guest is not compiled ahead: {error}")
        return {"state": "failed"}
    return {key: told.get(key) for key in ("state", "bytes", "ms")}


def _run(words: List[str], exchange: Exchange) -> Dict[str, Any]:
    patience = time.monotonic() + PATIENCE_S
    with subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/", start_new_session=True
    ) as process:
        try:
            while True:
                try:
                    out, complaint = process.communicate(timeout=POLL_S)
                    break
                except subprocess.TimeoutExpired:
                    exchange.check()
                    if time.monotonic() > patience:
                        raise ValueError(f"it takes longer than {PATIENCE_S:g} s") from None
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        last = complaint[-OUTPUT_SHOWN:].decode("utf-8", "replace").strip().splitlines()[-1:]
        raise ValueError(last[0] if last else f"the compiler ended with status {process.returncode}")
    return dict(json.loads(out))
