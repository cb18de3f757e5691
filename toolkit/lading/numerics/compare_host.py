"""An app's models on a device and on this machine, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lading.errors import NoSuchRelease, UsageError
from lading.numerics.difference import ATOL, RTOL, STEPS, difference
from lading.numerics.infer import on_device, on_host

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lading.client import Session
    from lading.numerics.app import AppModels, Vector
    from lading.numerics.difference import Difference


@dataclass(frozen=True)
class Tolerance:
    """How far outputs may be apart; None leaves what the golden vector says, or the default."""

    steps: float | None = None
    atol: float | None = None
    rtol: float | None = None


@dataclass(frozen=True)
class Compared:
    """One run of one model on both sides."""

    model: str
    vector: str
    outputs: tuple[Difference, ...]

    @property
    def ok(self) -> bool:
        """Whether all outputs are near enough."""
        return all(output.ok for output in self.outputs)


@dataclass(frozen=True)
class Comparison:
    """What a device's models give, beside what this machine gives."""

    app: str
    release: str
    variant: str
    device_runtime: str
    host_runtime: str
    vectors: tuple[Compared, ...]

    @property
    def ok(self) -> bool:
        """Whether all outputs are near enough."""
        return all(vector.ok for vector in self.vectors)

    @property
    def failures(self) -> list[str]:
        """A sentence for each output that is too far from this machine's."""
        return [
            f"{vector.model}, {vector.vector}: {output.sentence()}"
            for vector in self.vectors
            for output in vector.outputs
            if not output.ok
        ]

    def to_json(self) -> dict[str, Any]:
        """The comparison as a document."""
        return {
            "app": self.app,
            "release": self.release,
            "variant": self.variant,
            "ok": self.ok,
            "runtimes": {"device": self.device_runtime, "host": self.host_runtime},
            "vectors": [
                {
                    "model": vector.model,
                    "vector": vector.vector,
                    "ok": vector.ok,
                    "outputs": [output.to_json() for output in vector.outputs],
                }
                for vector in self.vectors
            ],
        }


def variant_on(session: Session, app: str, release: str) -> str:
    """The variant in which a device has a release.

    Raises:
        NoSuchRelease: it does not have it.
    """
    for entry in session.releases(app).get("releases", ()):
        if entry.get("release") == release:
            return str(entry.get("variant", "default"))
    raise NoSuchRelease(
        f"the device does not have {app} {release}, which is what the project packs to now",
        remedy="bring it there first: lading deploy PROJECT DEVICE; or give the bundle that was deployed (--project)",
    )


def compare_host(
    session: Session,
    models: AppModels,
    *,
    inputs: Path | None = None,
    only: str | None = None,
    tolerance: Tolerance | None = None,
    timeout_s: float | None = None,
    threads: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> Comparison:
    """Run an app's models on a device and on this machine, and compare what they give.

    Args:
        session: a session with a device that has the release.
        models: the same release's models, in the variant that is there.
        inputs: a folder of inputs (see :meth:`AppModels.folder`); None for those of the golden vectors.
        only: this model alone.
        tolerance: in place of what the golden vectors say.
        timeout_s: seconds for each model.
        threads: interpreter threads, in place of the app's own.
        progress: told what is run.

    Raises:
        UsageError: there are no inputs.
        RunFailed: a model could not be run.
    """
    bill = models.bill
    vectors = models.golden(only) if inputs is None else models.folder(inputs, only)
    if not vectors:
        raise UsageError(
            f"{bill.app.name} has no golden vector whose inputs could be run",
            remedy="give a folder of .npy files (--inputs), or record one: lading golden record",
        )
    wanted = tolerance or Tolerance()
    compared: list[Compared] = []
    runtimes: dict[str, set[str]] = {"device": set(), "host": set()}
    for reference in dict.fromkeys(vector.model for vector in vectors):
        model = models.get(reference)
        mine = [vector for vector in vectors if vector.model == reference]
        data = [vector.inputs for vector in mine]
        used = bill.app.threads if threads is None else threads
        if progress is not None:
            progress(f"{reference}: {len(mine)} on the device and here")
        there = on_device(
            session, model, data, app=bill.app.name, release=bill.release, timeout_s=timeout_s, threads=used
        )
        here = on_host(model, data, timeout_s=timeout_s, threads=used)
        runtimes["device"].add(there.runtime)
        runtimes["host"].add(here.runtime)
        for vector, got, expected in zip(mine, there.outputs, here.outputs, strict=True):
            compared.append(
                Compared(
                    reference,
                    vector.name,
                    tuple(_compare(name, got[name], expected[name], vector, wanted) for name in expected),
                )
            )
    return Comparison(
        app=bill.app.name,
        release=bill.release,
        variant=models.variant.id,
        device_runtime=_joined(runtimes["device"]),
        host_runtime=_joined(runtimes["host"]),
        vectors=tuple(compared),
    )


def _joined(runtimes: set[str]) -> str:
    return ", ".join(sorted(runtimes - {""}))


def _compare(name: str, got: Any, expected: Any, vector: Vector, wanted: Tolerance) -> Difference:
    def chosen(*given: float | None) -> float:
        return next(value for value in given if value is not None)

    return difference(
        name,
        got,
        expected,
        steps=chosen(wanted.steps, vector.steps, STEPS),
        atol=chosen(wanted.atol, vector.atol, ATOL),
        rtol=chosen(wanted.rtol, vector.rtol, RTOL),
    )
