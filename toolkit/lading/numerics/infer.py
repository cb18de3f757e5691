"""Running a bare model on a device, or on this machine, and taking its outputs."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lading.errors import CannotRun, RunFailed
from lading.numerics.guest import Refusal, assemble, read_frames, stdin_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt

    from lading.client import Session
    from lading.client.events import Event
    from lading.numerics.app import AppModel
    from lading_agent.nn.facts import TensorFacts
    from lading_agent.runs.result import RunResult

    Outputs = dict[str, npt.NDArray[Any]]

HOST_PROFILE: Final = "lading-litert"
_OUTPUT_SLACK: Final = 1024 * 1024


@dataclass(frozen=True)
class Inferred:
    """What a model gave."""

    outputs: tuple[Outputs, ...]
    """One an input vector: arrays by output name."""
    runtime: str
    """What ran it, with versions."""


def on_device(
    session: Session,
    model: AppModel,
    vectors: Sequence[Sequence[bytes]],
    *,
    app: str,
    release: str,
    timeout_s: float | None = None,
    threads: int | None = None,
) -> Inferred:
    """Run a model of a release on the device that has it.

    Args:
        session: a session with the device.
        model: the model.
        vectors: of each run the inputs' bytes, in the model's order.
        app: the app's name.
        release: the release that holds the model.
        timeout_s: seconds for all of them together, in place of the app's own limit.
        threads: interpreter threads, in place of the app's own.

    Raises:
        Unsupported: the device's firmware has no way to run it.
        RunFailed: it could not be run, or the firmware refused a call.
    """
    from lading.client.events import Output

    profile = session.describe().get("profile", {})
    abi = profile.get("abi") or {}
    output = bytearray()

    def take(event: Event) -> None:
        if isinstance(event, Output) and event.stream == 1:
            output.extend(event.data)

    result = session.run_guest(
        assemble(model.reference, model.facts, abi),
        app,
        release=release,
        stdin=stdin_of(vectors),
        on_event=take,
        timeout_s=timeout_s,
        threads=threads,
    )
    return _inferred("the device", model, len(vectors), bytes(output), result, abi)


def on_host(
    model: AppModel, vectors: Sequence[Sequence[bytes]], *, timeout_s: float | None = None, threads: int | None = None
) -> Inferred:
    """Run a model on this machine, on the host that lading itself has here.

    Raises:
        Unsupported, RunFailed: as :func:`on_device`.
    """
    from lading import profiles
    from lading.emulate import runner_command
    from lading_agent.runs import supervise
    from lading_agent.runs.choose import AUTO
    from lading_agent.runs.spec import Limits, ModelSpec, RunSpec

    profile = profiles.find(HOST_PROFILE).resolved()
    output = bytearray()
    with tempfile.TemporaryDirectory(prefix="lading-host-") as scratch, tempfile.TemporaryFile() as stdin:
        module, file = Path(scratch) / "guest.wasm", Path(scratch) / "model"
        module.write_bytes(assemble(model.reference, model.facts, profile["abi"]))
        file.write_bytes(model.data)
        stdin.write(stdin_of(vectors))
        stdin.seek(0)
        spec = RunSpec(
            module=str(module),
            personality=profile,
            models=(ModelSpec(model.model.name, str(file), model.model.version, model.model.encoding),),
            limits=Limits(time_s=timeout_s or Limits.time_s),
            threads=1 if threads is None else threads,
        )
        result = supervise.run(
            spec,
            stdin=stdin.fileno(),
            on_stdout=output.extend,
            on_stderr=lambda _: None,
            on_report=lambda _: None,
            command=runner_command(AUTO),
        )
    return _inferred("this machine", model, len(vectors), bytes(output), result, profile["abi"])


def _inferred(
    where: str, model: AppModel, wanted: int, output: bytes, result: RunResult, abi: Mapping[str, Any]
) -> Inferred:
    arrays = list(_arrays(where, model, output, abi))
    if result.outcome != "exit" or result.status:
        raise _failure(where, model, result)
    width = len(model.facts.outputs)
    if len(arrays) != wanted * width:
        raise RunFailed(
            f"{where}: model {model.reference} gave {len(arrays)} outputs, {wanted * width} were expected",
            remedy="see that lading is the same version on both sides",
        )
    labels = list(model.outputs)
    runs = [dict(zip(labels, arrays[at * width : (at + 1) * width], strict=True)) for at in range(wanted)]
    return Inferred(tuple(runs), str(result.metrics.get("runtime") or ""))


def _arrays(where: str, model: AppModel, output: bytes, abi: Mapping[str, Any]) -> Iterator[npt.NDArray[Any]]:
    for frame in read_frames(output):
        if isinstance(frame, Refusal):
            names = {number: name for name, number in (abi.get("errno") or {}).items()}
            raise RunFailed(
                f"{where} refuses {frame.call} of model {model.reference}: "
                f"{names.get(frame.errno, 'errno')} ({frame.errno})",
                remedy="lading check PROJECT --on DEVICE says why",
                details={"model": model.reference, "call": frame.call, "errno": frame.errno},
            )
        if frame.index >= len(model.facts.outputs):
            raise RunFailed(f"{where} gave an output {frame.index} that the model does not have")
        yield _array(where, model, list(model.outputs)[frame.index], model.facts.outputs[frame.index], frame.data)


def _array(where: str, model: AppModel, label: str, tensor: TensorFacts, data: bytes) -> npt.NDArray[Any]:
    import numpy as np

    plain = {"bfloat16": "uint16", "string": "uint8", "int4": "uint8", "resource": "uint8", "variant": "uint8"}
    dtype = np.dtype(plain.get(tensor.dtype, tensor.dtype)).newbyteorder("<")
    if len(data) == tensor.nbytes and tensor.element_bytes and not tensor.by_data:
        return np.frombuffer(data, dtype).reshape(tensor.shape).astype(dtype.newbyteorder("="))
    if tensor.by_data and len(data) % dtype.itemsize == 0:
        return np.frombuffer(data, dtype).astype(dtype.newbyteorder("="))
    raise RunFailed(
        f"{where} hands over {len(data)} bytes for output '{label}' of model {model.reference}, which has "
        f"{tensor.nbytes} ({tensor.describe()})",
        remedy="its firmware passes the tensor in another type: run the app itself there, and compare what it makes",
    )


def _failure(where: str, model: AppModel, result: RunResult) -> RunFailed:
    kind = CannotRun if result.outcome in ("link-error", "not-loadable") else RunFailed
    return kind(
        f"{where} could not run model {model.reference}: {result.kind}: {result.message or result.status}",
        remedy=result.remedy or "see whether it runs with lading emulate",
        details={"kind": result.kind, "status": result.status},
    )
