"""Running a bare module on this machine, as ``iwasm`` or ``wasmedge`` would: no project, no device, no agent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lading.errors import LadingError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lading_agent.runs.launch import RunnerCommand
    from lading_agent.runs.spec import RunSpec


class ModuleNotFound(LadingError):
    """No such module file."""

    exit_status = 2
    run_status = 127
    code = "module-not-found"


@dataclass(frozen=True)
class NamedModel:
    """A model that the guest may load by name."""

    name: str
    path: Path
    encoding: str = "tensorflowlite"
    target: str = "cpu"
    int8: str = "as-u8"
    state: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class OpenedDir:
    """A directory of this machine, opened for the guest."""

    host: Path
    guest: str
    writable: bool = False


@dataclass(frozen=True)
class EmulateOptions:
    """What a bare run may use; ``None`` leaves the firmware profile's or lading's own limit."""

    args: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    models: Sequence[NamedModel] = ()
    dirs: Sequence[OpenedDir] = ()
    names_dir: Path | None = None
    """A folder for models that the guest names by path, on personalities whose host takes names for paths."""
    personality: str = "lading-litert"
    backend: bool = True
    threads: int = 1
    timeout_s: float | None = None
    memory_bytes: int | None = None


def run_spec(module: Path, options: EmulateOptions) -> RunSpec:
    """What a runner process is told about a bare module.

    Raises:
        ModuleNotFound: no such module file.
        UsageError: a model or a directory that is not there.
        NameNotFound: no such firmware profile.
    """
    from dataclasses import replace

    from lading import profiles
    from lading_agent.engines.identity import digest_of
    from lading_agent.runs.spec import DirSpec, Limits, ModelSpec, RunSpec

    if not module.is_file():
        raise ModuleNotFound(f"no module {module}", remedy="give the path of a .wasm file")
    for model in options.models:
        if not model.path.is_file():
            raise UsageError(f"model {model.name!r}: no file {model.path}", remedy="give --model NAME=FILE")
    for opened in options.dirs:
        if not opened.host.is_dir():
            raise UsageError(f"no directory {opened.host}", remedy="give --dir HOST::GUEST")
    if options.names_dir is not None and not options.names_dir.is_dir():
        raise UsageError(f"no directory {options.names_dir}", remedy="give --names-dir FOLDER")
    profile = profiles.find(options.personality).resolved()
    limits = Limits(**{k: v for k, v in profile.get("limits", {}).items() if k in Limits.__dataclass_fields__})
    if options.timeout_s is not None:
        limits = replace(limits, time_s=options.timeout_s)
    if options.memory_bytes is not None:
        limits = replace(limits, memory_bytes=options.memory_bytes)
    return RunSpec(
        module=str(module.resolve()),
        module_digest=digest_of(module),
        personality=profile,
        args=tuple(options.args),
        env=dict(options.env),
        dirs=tuple(DirSpec(str(d.host.resolve()), d.guest, d.writable) for d in options.dirs),
        models=tuple(
            ModelSpec(m.name, str(m.path.resolve()), "", m.encoding, m.target, m.int8, dict(m.state))
            for m in options.models
        ),
        limits=limits,
        threads=options.threads,
        backend=profile.get("backend", "litert") if options.backend else "none",
        names_dir=str(options.names_dir.resolve()) if options.names_dir is not None else "",
    )


def runner_command(host: str) -> RunnerCommand:
    """How a run is started on one of :data:`lading_agent.runs.choose.HOSTS`.

    Raises:
        UsageError: no such host.
    """
    from lading_agent.runs.choose import HOSTS, Chooser

    if host not in HOSTS:
        raise UsageError(f"--host {host!r} is not a host", remedy=f"hosts are {', '.join(HOSTS[:-1])} and {HOSTS[-1]}")
    return Chooser(host, cache=cache_folder())


def cache_folder() -> Path:
    """Where this user's own runs keep compiled guests and what is known of engines."""
    from pathlib import Path

    import platformdirs

    return Path(platformdirs.user_cache_dir("lading", appauthor=False))
