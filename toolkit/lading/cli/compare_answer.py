"""``lading run --compare-host``: an app's models on a device and here, as a table and a document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.cli.answer import Answer
from lading.cli.screen import Screen, counted

if TYPE_CHECKING:
    from pathlib import Path

    from lading.numerics.compare_host import Comparison, Tolerance


def compare(
    device: str,
    app: str | None,
    project: Path,
    *,
    inputs: Path | None,
    model: str | None,
    tolerance: Tolerance,
    timeout_s: float | None,
    threads: int | None,
    as_json: bool,
) -> Answer:
    """Run the models of a project's release on a device and here.

    Raises:
        UsageError: the project is of another app.
        NoSuchRelease: the device does not have what the project packs to.
    """
    from lading.client import connect
    from lading.deploy import prepare
    from lading.devices import resolve
    from lading.errors import UsageError
    from lading.numerics.app import AppModels
    from lading.numerics.compare_host import compare_host, variant_on

    screen = Screen(as_json=as_json)
    found = resolve(device)
    bundle = prepare(project)
    with AppModels(bundle) as packed:
        bill = packed.bill
    if app is not None and app != bill.app.name:
        raise UsageError(
            f"{project} is the app {bill.app.name}, not {app}",
            remedy=f"give --project FOLDER of {app}, or leave it out",
        )
    with connect(found) as session, AppModels(bundle, variant_on(session, bill.app.name, bill.release)) as models:
        result = compare_host(
            session,
            models,
            inputs=inputs,
            only=model,
            tolerance=tolerance,
            timeout_s=timeout_s,
            threads=threads,
            progress=None if as_json else screen.note,
        )
    document = {"device": str(found), **result.to_json()}
    return Answer(document, lambda shown: _show(shown, result), status=0 if result.ok else 1)


def _show(screen: Screen, result: Comparison) -> None:
    rows = []
    for vector in result.vectors:
        for output in vector.outputs:
            first = output.first
            rows.append(
                [
                    f"{vector.model}: {output.tensor}",
                    vector.vector,
                    "ok" if output.ok else "failed",
                    output.wrong or output.apart(),
                    f"{output.differing} of {output.elements}",
                    "–" if first is None else f"{list(first.index)}: {first.expected} here, {first.got} there",
                ]
            )
    screen.table(["output", "vector", "result", "apart at most", "differing", "first"], rows, right=["differing"])
    same = result.device_runtime == result.host_runtime
    screen.note(f"here: {result.host_runtime}" + ("; the same there" if same else ""))
    if not same:
        screen.note(f"there: {result.device_runtime}")
    far = len(result.failures)
    if far:
        screen.say(f"{counted(far, 'output')} of {result.app} {result.release} too far apart", style="bold red")
    else:
        screen.say(f"{result.app} {result.release} gives there what it gives here", style="green")
