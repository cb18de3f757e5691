"""What became of a deploy, as JUnit XML: for each device the check, the push, what was tried, and the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.errors import CheckRefused, DeviceUnreachable, GoldenMismatch, SmokeFailed
from lading.junit import Case, State, document

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lading.deploy import Deployed


def junit(results: Sequence[Deployed], outputs: Mapping[str, str] | None = None) -> str:
    """One test suite; the class of its cases is the device.

    Args:
        results: what became of each device.
        outputs: what the app wrote on each, by device.
    """
    cases = [case for result in results for case in _cases(result, (outputs or {}).get(result.device, ""))]
    app = next((result.push.app for result in results if result.push), "")
    return document(f"lading deploy {app}".rstrip(), cases)


def _cases(result: Deployed, output: str) -> Iterator[Case]:
    error, device = result.error, result.device
    if isinstance(error, DeviceUnreachable) and result.push is None:
        yield _wrong(result, "connect", "error")
        return
    if isinstance(error, CheckRefused):
        yield _wrong(result, "check", "failed")
        return
    said = result.verdict.sentence() if result.verdict else "nothing has compared the app with what the device can do"
    yield Case(device, "check", "passed" if result.checked else "skipped", why="" if result.checked else said)
    if isinstance(error, GoldenMismatch):
        yield _wrong(result, "golden vectors", "failed")
        return
    if isinstance(error, SmokeFailed):
        yield _wrong(result, "smoke runs", "failed")
        return
    push = result.push
    if push is None:
        yield _wrong(result, "push", "error")
        return
    yield Case(device, "push", output=f"{push.release}: {push.sent_bytes} bytes sent")
    for report in push.golden:
        yield Case(device, f"golden vector {int(report.get('index', 0)) + 1} of {report.get('model', '')}")
    for report in push.smoke:
        words = " ".join(map(str, report.get("args", ())))
        yield Case(device, f"smoke run {int(report.get('index', 0)) + 1} {words}".rstrip())
    if error is not None:
        yield _wrong(result, "run", "error")
    elif result.run is not None:
        why = f"{result.run.kind}: {result.run.message or 'the app ended'} (status {result.run.status})"
        state: State = "failed" if result.run.status else "passed"
        yield Case(device, "run", state, why if result.run.status else "", kind=result.run.kind, output=output)


def _wrong(result: Deployed, name: str, state: State) -> Case:
    error = result.error
    assert error is not None
    text = f"{error.message}\nremedy: {error.remedy}" if error.remedy else error.message
    return Case(result.device, name, state, error.message, text, error.code)
