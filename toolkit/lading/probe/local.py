"""Probe guests on lading's own hosts on this machine, without an agent: the Python host or the native runner."""

from __future__ import annotations

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lading.probe.guests import assemble
from lading.probe.models import model
from lading.probe.observed import MOST_OUTPUT, End, read_output
from lading.probe.prologues import NAME
from lading.probe.runners import TIME_S, end_outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lading.probe.observed import GuestResult
    from lading.probe.script import Program
    from lading_agent.runs.launch import RunnerCommand


class LocalRunner:
    """Runs guests on one host.

    Args:
        profile: the resolved firmware profile that the host speaks.
        command: which host: how its process is started.
        at_once: how many may run at the same time.
        on_guest: called as each guest has ended.
    """

    names = True

    def __init__(
        self,
        profile: Mapping[str, Any],
        command: RunnerCommand,
        *,
        at_once: int = 1,
        on_guest: Callable[[], None] | None = None,
    ) -> None:
        self._profile = profile
        self._command = command
        self._at_once = at_once
        self._on_guest = on_guest

    def __call__(self, programs: Sequence[Program]) -> list[GuestResult]:
        """Run them all.

        Raises:
            CannotProbe: the host fails for a reason of its own, such as a missing engine.
        """
        with tempfile.TemporaryDirectory(prefix="lading-conformance-") as folder:
            echo = Path(folder) / f"{NAME}.tflite"
            echo.write_bytes(model("echo_f32"))
            with ThreadPoolExecutor(self._at_once, thread_name_prefix="conformance") as pool:
                return list(
                    pool.map(
                        lambda pair: self._one(pair[1], Path(folder) / f"{pair[0]}.wasm", echo), enumerate(programs)
                    )
                )

    def _one(self, program: Program, path: Path, echo: Path) -> GuestResult:
        from lading_agent.runs import supervise
        from lading_agent.runs.spec import Limits, ModelSpec, RunSpec

        path.write_bytes(assemble(program))
        output = bytearray()
        spec = RunSpec(
            module=str(path),
            personality=self._profile,
            models=(ModelSpec(NAME, str(echo)),),
            limits=Limits(time_s=TIME_S),
        )
        stdin = os.open(os.devnull, os.O_RDONLY)
        try:
            result = supervise.run(
                spec,
                stdin=stdin,
                on_stdout=output.extend,
                on_stderr=lambda _: None,
                on_report=lambda _: None,
                command=self._command,
            )
        finally:
            os.close(stdin)
            path.unlink()
            if self._on_guest is not None:
                self._on_guest()
        outcome = end_outcome(result.outcome, result.kind, result.message, result.remedy)
        return read_output(program, bytes(output[:MOST_OUTPUT]), End(outcome, result.status, result.message))
