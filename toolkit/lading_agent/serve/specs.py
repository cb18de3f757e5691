"""From a bill and a device to what a runner is told."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, List, Mapping, Optional, Protocol, Sequence, Tuple, runtime_checkable

from lading_agent.bill import Bill, BillError, Golden, Tensor, VariantModel
from lading_agent.errors import AgentError
from lading_agent.runs.choose import missing_remedy
from lading_agent.runs.spec import DirSpec, GoldenSpec, Limits, ModelSpec, RunSpec, TensorFile
from lading_agent.serve.compiled import refuse_elsewhere
from lading_agent.serve.environment import from_device

if TYPE_CHECKING:
    from pathlib import Path

    from lading_agent.runs.program import Program
    from lading_agent.serve.device import Served


def limits_of(served: Served, bill: Bill) -> Limits:
    """The limits of a run: the profile's, tightened by the target's memory and by what the app asks for."""
    known = Limits.__dataclass_fields__
    given = dict(served.profile.get("limits") or {})
    limits = Limits(**{key: value for key, value in given.items() if key in known and value is not None})
    memory = [m for m in (limits.memory_bytes, served.run_memory_bytes, bill.app.memory_bytes) if m is not None]
    time_s = bill.app.timeout_s if bill.app.timeout_s is not None else limits.time_s
    return replace(limits, memory_bytes=min(memory) if memory else None, time_s=time_s)


def refuse_too_large(served: Served, bill: Bill, variant: str) -> None:
    """Refuse models that no run on this device could hold, before anything is sent.

    Raises:
        AgentError: ``too-large``.
    """
    limits = limits_of(served, bill)
    target = served.target.get("name") or served.target.get("id") or "the device"
    for model in bill.variant(variant).models:
        for limit, whose in (
            (limits.memory_bytes, f"a run on {target} may use"),
            (limits.model_bytes, "the firmware profile loads"),
        ):
            if limit is not None and model.size > limit:
                raise AgentError(
                    "too-large",
                    f"model {model.name} has {model.size} bytes, {whose} at most {limit}",
                    "use a smaller model, or a target with more memory",
                    {"model": model.name, "size": model.size, "limit": limit},
                )


@runtime_checkable
class Versions(Protocol):
    """A :data:`~lading_agent.runs.launch.RunnerCommand` that has engines of several versions."""

    def lacking(self, spec: RunSpec) -> str:
        """Why the versions that a run asks for are not to be had; empty when they are, or none matter."""
        ...


def refuse_missing_engines(served: Served, bill: Bill) -> None:
    """Refuse an app that asks for engines which are not here, before anything is sent.

    Raises:
        AgentError: ``engine-missing``.
    """
    if bill.engines and isinstance(served.runner, Versions):
        spec = RunSpec("", served.profile, engines=bill.engines, backend=_backend(served.profile))
        why = served.runner.lacking(spec)
        if why:
            raise AgentError(
                "engine-missing",
                f"{bill.app.name} asks for engines that the device does not have: {why}",
                missing_remedy(bill.engines),
                {"engines": dict(bill.engines)},
            )


def run_spec(
    served: Served,
    bill: Bill,
    variant_id: str,
    release: Path,
    *,
    state: Mapping[str, Path],
    args: Optional[Sequence[str]] = None,
    env: Optional[Mapping[str, str]] = None,
    threads: Optional[int] = None,
    program: Optional[Program] = None,
) -> RunSpec:
    """The spec of a guest's run.

    Args:
        served: the device.
        bill: the release's bill.
        variant_id: the variant that is installed.
        release: the release's directory.
        state: guest name of each state directory to its host side.
        args: in place of the app's own.
        env: on top of the app's own.
        threads: in place of the app's own.
        program: the device's own runtime that is to run it; None: one of lading's hosts.

    Raises:
        AgentError: ``check-refused``: that runtime would let the guest write to the release's own files, or is not the
            one that the guest was compiled for.
    """
    if program is not None:
        program = _secured(bill, program)
    variant = bill.variant(variant_id)
    refuse_elsewhere(variant, program)
    dirs = [DirSpec(str(release / "dirs" / str(n)), d.guest) for n, d in enumerate(bill.dirs)]
    dirs += [DirSpec(str(path), guest, writable=True) for guest, path in state.items()]
    return RunSpec(
        module=str(served.layout.blob(variant.module.digest)),
        module_digest=variant.module.digest,
        personality=served.profile,
        engines=bill.engines,
        args=tuple(bill.app.args if args is None else args),
        env={**bill.app.env, **from_device(bill, os.environ), **(env or {})},
        dirs=tuple(dirs),
        models=_models(served, bill, variant.models),
        limits=limits_of(served, bill),
        threads=bill.app.threads if threads is None else threads,
        backend=_backend(served.profile),
        program=program.to_json() if program is not None else {},
    )


def _secured(bill: Bill, program: Program) -> Program:
    """The runtime with what it must keep to itself; refused where it cannot keep its hands off the store.

    The files of a release are write-protected names of the store's content. That protects them from every user but
    root, so a runtime without read-only directories must not run as root.
    """
    if bill.dirs and not program.protects and os.geteuid() == 0:
        raise AgentError(
            "check-refused",
            f"{program.name} has no read-only directories, and as root nothing keeps {bill.app.name} from changing "
            f"its release ({', '.join(directory.guest for directory in bill.dirs)})",
            "reach the device as another user than root, or use another runtime",
        )
    return replace(program, hidden=tuple(bill.app.env_from_device))


def golden_spec(served: Served, bill: Bill, variant_id: str) -> RunSpec:
    """The spec that compares all golden vectors of a variant."""
    return RunSpec(
        module="",
        personality=served.profile,
        engines=bill.engines,
        models=_models(served, bill, bill.variant(variant_id).models),
        limits=limits_of(served, bill),
        threads=bill.app.threads,
        backend=_backend(served.profile),
        golden=tuple(_golden(served, g) for g in bill.golden_for(variant_id)),
    )


def guest_spec(served: Served, bill: Bill, variant_id: str, module: Path) -> RunSpec:
    """The spec of a client's own guest that meets the models of a variant, byte for byte, and nothing else of it."""
    return RunSpec(
        module=str(module),
        personality=served.profile,
        engines=bill.engines,
        models=tuple(
            replace(model, int8="as-u8", state={}) for model in _models(served, bill, bill.variant(variant_id).models)
        ),
        limits=limits_of(served, bill),
        threads=bill.app.threads,
        backend=_backend(served.profile),
    )


def _models(served: Served, bill: Bill, chosen: Sequence[VariantModel]) -> Tuple[ModelSpec, ...]:
    specs: List[ModelSpec] = []
    for bytes_of in chosen:
        try:
            model = bill.find_model(f"{bytes_of.name}@{bytes_of.version}" if bytes_of.version else bytes_of.name)
        except BillError as error:
            raise AgentError("bundle", f"the bill: {error}", error.remedy) from error
        specs.append(
            ModelSpec(
                name=model.name,
                path=str(served.layout.blob(bytes_of.digest)),
                version=model.version,
                encoding=model.encoding,
                target=model.target,
                int8=model.int8,
                state=dict(model.state),
            )
        )
    return tuple(specs)


def _golden(served: Served, golden: Golden) -> GoldenSpec:
    def files(tensors: Sequence[Tensor]) -> Tuple[TensorFile, ...]:
        return tuple(TensorFile(t.tensor, t.dtype, tuple(t.shape), str(served.layout.blob(t.digest))) for t in tensors)

    return GoldenSpec(
        model=golden.model,
        inputs=files(golden.inputs),
        outputs=files(golden.outputs),
        tolerance=golden.tolerance,
        atol=golden.atol,
        rtol=golden.rtol,
    )


def _backend(profile: Mapping[str, Any]) -> str:
    value = profile.get("backend")
    return value if isinstance(value, str) else "litert"
