"""Pack, push and run as the verbs ``deploy`` and ``push`` show them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lading.cli.answer import Answer
from lading.cli.guest_options import place_for
from lading.cli.guest_output import GuestOutput
from lading.cli.progress import Bars
from lading.cli.push_answer import push_document, say_push
from lading.cli.run_answer import run_document, say_end, say_figures
from lading.cli.screen import Screen
from lading.client.events import Output
from lading.deploy import Deployed, DeployOptions, Watcher, deploy_many, prepare
from lading.opening import Opening
from lading.units import format_size

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lading.bootstrap.stages import Stage
    from lading.client import PushResult


def bring(
    project: Path,
    devices: Sequence[str],
    options: DeployOptions,
    *,
    tensors: bool = False,
    junit: Path | None = None,
    as_json: bool = False,
) -> Answer:
    """Bring a project or bundle onto devices, and run it there if the options say so."""
    from lading.devices import resolve_many
    from lading.devices.registry import FILE_NAME

    screen = Screen(as_json=as_json)
    place_for(junit, "--junit")
    found = resolve_many(devices, project if (project / FILE_NAME).is_file() else None)
    many = len(found) > 1
    with Bars(screen) as bars:
        watcher = _Shown(screen, bars, many=many, tensors=tensors)
        early = found if project.is_dir() else ()  # a bundle is ready at once
        with Opening(early, lambda device, stage: watcher.bringing(str(device), stage)) as opening:
            bundle = prepare(project, progress=bars.update, skipped=screen.skipped)
            results = deploy_many(bundle, found, options, watcher, opening)
    watcher.close()
    if junit is not None:
        from lading.deploy_junit import junit as to_junit

        heard = {device: data.decode("utf-8", "replace") for device, data in watcher.heard.items()}
        junit.write_text(to_junit(results, heard), encoding="utf-8")
    document: dict[str, Any] = {
        "bundle": str(bundle),
        "devices": [_document(result, watcher) for result in results],
    }
    if errors := [result.error for result in results if result.error]:
        # Where every verb has it: the error that gives the exit status. Each device's own is beside the device.
        document["error"] = max(errors, key=lambda error: error.exit_status).to_json()
    if as_json:
        for result in results:
            if result.error:
                _say_error(screen, result, many=many)
    return Answer(
        document, lambda shown: _render(shown, results, many=many), status=max(_status(result) for result in results)
    )


_HEARD: Final = 64 * 1024


class _Shown(Watcher):
    """Shows stages, bars and guest output as they come."""

    def __init__(self, screen: Screen, bars: Bars, *, many: bool, tensors: bool) -> None:
        self._screen, self._bars, self._many, self._tensors = screen, bars, many, tensors
        self._outputs: dict[str, GuestOutput] = {}
        self._told: dict[str, str] = {}
        self.heard: dict[str, bytearray] = {}
        """The beginning of what apps wrote, by device."""

    def output(self, device: str) -> GuestOutput:
        """The output of one device's run."""
        if device not in self._outputs:
            prefix = f"{device} | " if self._many else ""
            self._outputs[device] = GuestOutput(self._screen, prefix=prefix, tensors=self._tensors)
        return self._outputs[device]

    def stage(self, device: str, text: str) -> None:
        if not self._screen.as_json:
            self._screen.note(f"{device}: {text}")

    def bringing(self, device: str, stage: Stage) -> None:
        if stage.total:
            self._bars.update(f"{device}: {stage.text}", stage.done, stage.total)
        if self._told.get(device) != stage.text:
            self._told[device] = stage.text
            self.stage(device, stage.text)

    def pushed(self, device: str, push: PushResult) -> None:
        if not self._screen.as_json:
            say_push(self._screen, push, prefix=f"{device}: " if self._many else "")

    def progress(self, device: str, done: int, total: int) -> None:
        self._bars.update(device, done, total)

    def event(self, device: str, event: Any) -> None:
        if isinstance(event, Output):
            kept = self.heard.setdefault(device, bytearray())
            kept += event.data[: _HEARD - len(kept)]
        self.output(device).take(event)

    def close(self) -> None:
        """Let go of unfinished lines."""
        for output in self._outputs.values():
            output.close()


def _document(result: Deployed, watcher: _Shown) -> dict[str, Any]:
    return {
        "device": result.device,
        "ok": result.ok,
        "checked": result.checked,
        "check": result.verdict.to_json() if result.verdict else None,
        "variant": result.choice.to_json() if result.choice else None,
        "push": push_document(result.push) if result.push else None,
        "run": run_document(result.run, watcher.output(result.device)) if result.run else None,
        "error": result.error.to_json() if result.error else None,
        "round_trips": result.round_trips,
    }


def _render(screen: Screen, results: list[Deployed], *, many: bool) -> None:
    for result in results:
        prefix = f"{result.device}: " if many else ""
        if result.error:
            _say_error(screen, result, many=many)
        if result.run:
            say_end(screen, result.run, prefix)
            say_figures(screen, result.run.metrics, prefix)
            if result.run.status:
                screen.note(f"{prefix}the app ended with exit status {result.run.status}", style="red")
    if many:
        rows = [
            [
                result.device,
                result.push.release if result.push else "–",
                result.push.variant if result.push else "–",
                format_size(result.push.sent_bytes) if result.push else "–",
                "ok" if result.ok else "failed",
            ]
            for result in results
        ]
        sent = "to send" if any(result.push and result.push.dry_run for result in results) else "sent"
        screen.table(["device", "release", "variant", sent, "result"], rows, right=[sent])


def _say_error(screen: Screen, result: Deployed, *, many: bool) -> None:
    assert result.error
    prefix = f"{result.device}: " if many else ""
    screen.error(result.error, prefix)
    if "current" in result.error.details:
        current = result.error.details["current"]
        screen.note(f"{prefix}{f'{current} is still current' if current else 'no release is current'}", style="")


def _status(result: Deployed) -> int:
    if result.error:
        return result.error.exit_status
    return 0 if result.ok else 1
