"""What is traced and checked: a bare module, a project, or a bundle; opened so that a runner can find its files."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lading.errors import InputError, ModuleError, UsageError
from lading_agent.runs.spec import DirSpec, ModelSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lading.bundle.reader import Bundle
    from lading.emulate import NamedModel, OpenedDir
    from lading_agent.bill import Bill, File

_CHUNK: Final = 1024 * 1024
MOST_MODULE_BYTES: Final = 512 * 1024 * 1024


@dataclass(frozen=True)
class Subject:
    """A guest with everything that a run of it needs."""

    label: str
    """What people call it: the app with its version, or the module's file name."""
    module: Path
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    models: tuple[ModelSpec, ...] = ()
    dirs: tuple[DirSpec, ...] = ()
    memory_bytes: int | None = None
    """What the app asks for at most."""
    missing_env: tuple[str, ...] = ()
    """Variables whose values only the device knows: a trace goes without them."""


@dataclass(frozen=True)
class SubjectOptions:
    """What the command line adds to a subject; ``args`` in place of the app's own when it is not None."""

    args: Sequence[str] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    models: Sequence[NamedModel] = ()
    dirs: Sequence[OpenedDir] = ()


@contextlib.contextmanager
def open_subject(path: Path, options: SubjectOptions | None = None) -> Iterator[Subject]:
    """Open a module, a project's folder, or a bundle.

    Raises:
        UsageError: it is none of them, or an option does not go with it.
        ProjectError, BundleError, ModuleError: it cannot be used.
    """
    from lading.project.load import PROJECT_FILE

    options = options or SubjectOptions()
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lading-trace-")))
        if path.is_dir() or path.name == PROJECT_FILE:
            subject = _project(path, scratch)
        elif not path.is_file():
            raise UsageError(
                f"{path} is not a regular file" if path.exists() else f"there is no {path}",
                remedy="give a project's folder, a .lading bundle or a .wasm file",
            )
        elif _is_module(path):
            subject = Subject(path.name, path.resolve())
        else:
            subject = _bundle(path, scratch)
        yield _with(subject, options)


def _is_module(path: Path) -> bool:
    """Whether a file is to be read as a module: by its first bytes, or by its name when they say nothing."""
    with path.open("rb") as file:
        head = file.read(4)
    return head == b"\0asm" or path.suffix == ".wasm"


def _with(subject: Subject, options: SubjectOptions) -> Subject:
    for model in options.models:
        if not model.path.is_file():
            raise UsageError(f"model {model.name!r}: no file {model.path}", remedy="give --model NAME=FILE")
    for opened in options.dirs:
        if not opened.host.is_dir():
            raise UsageError(f"no directory {opened.host}", remedy="give --dir HOST::GUEST")
    if subject.module.stat().st_size > MOST_MODULE_BYTES:
        raise ModuleError(
            f"{subject.module} is longer than {MOST_MODULE_BYTES} bytes", remedy="no device takes such a module"
        )
    given = {m.name for m in options.models}
    return Subject(
        label=subject.label,
        module=subject.module,
        args=subject.args if options.args is None else tuple(options.args),
        env={**subject.env, **options.env},
        models=tuple(
            ModelSpec(m.name, str(m.path.resolve()), "", m.encoding, m.target, m.int8, dict(m.state))
            for m in options.models
        )
        + tuple(m for m in subject.models if m.name not in given),
        dirs=subject.dirs + tuple(DirSpec(str(d.host.resolve()), d.guest, d.writable) for d in options.dirs),
        memory_bytes=subject.memory_bytes,
        missing_env=tuple(name for name in subject.missing_env if name not in options.env),
    )


def _state(scratch: Path, names: Sequence[str]) -> tuple[DirSpec, ...]:
    """An empty writable directory for each state directory."""
    made = []
    for number, guest in enumerate(names):
        folder = scratch / f"state-{number}"
        folder.mkdir()
        made.append(DirSpec(str(folder), guest, writable=True))
    return tuple(made)


def _project(path: Path, scratch: Path) -> Subject:
    from lading.project.load import load_project

    project = load_project(path)
    module = project.place(project.app.module)
    for what, file in (("the module", module), *((f"model '{m.name}'", project.place(m.path)) for m in project.models)):
        if not file.is_file():
            raise InputError(f"{project.file}: {what}: there is no file {file}", remedy="correct its path")
    for directory in project.dirs:
        if not project.place(directory.host).is_dir():
            raise InputError(
                f"{project.file}: there is no folder {project.place(directory.host)}", remedy="correct dir.host"
            )
    return Subject(
        label=f"{project.app.name} {project.app.version}",
        module=module.resolve(),
        args=tuple(project.app.args),
        env=project.env,
        models=tuple(
            ModelSpec(
                m.name, str(project.place(m.path).resolve()), m.version, m.encoding, m.target, m.int8, dict(m.state)
            )
            for m in project.models
        ),
        dirs=tuple(DirSpec(str(project.place(d.host).resolve()), d.guest) for d in project.dirs)
        + _state(scratch, [s.guest for s in project.state]),
        memory_bytes=int(project.app.memory) if project.app.memory is not None else None,
        missing_env=tuple(project.env_from_device),
    )


def _bundle(path: Path, scratch: Path) -> Subject:
    from lading.bundle import open_bundle

    with open_bundle(path) as bundle:
        return bundle_subject(bundle, scratch)


def bundle_subject(bundle: Bundle, scratch: Path, variant_id: str = "default") -> Subject:
    """A bundle's guest, its contents laid out below ``scratch``.

    Raises:
        BundleError: a content is damaged.
    """
    bill = bundle.bill
    variant = bill.variant(variant_id)
    blobs = scratch / "blobs"
    blobs.mkdir()

    def out(digest: str, to: Path) -> str:
        _copy(bundle, digest, to)
        return str(to)

    module = Path(out(variant.module.digest, blobs / "module.wasm"))
    models = []
    for number, entry in enumerate(variant.models):
        model = bill.find_model(f"{entry.name}@{entry.version}" if entry.version else entry.name)
        file = out(entry.digest, blobs / f"model-{number}")
        models.append(
            ModelSpec(model.name, file, model.version, model.encoding, model.target, model.int8, dict(model.state))
        )
    dirs = []
    for number, directory in enumerate(bill.dirs):
        root = scratch / f"dir-{number}"
        _lay_out(bundle, root, directory.files)
        dirs.append(DirSpec(str(root), directory.guest))
    app = bill.app
    return Subject(
        label=f"{app.name} {app.version}",
        module=module,
        args=tuple(app.args),
        env=dict(app.env),
        models=tuple(models),
        dirs=(*dirs, *_state(scratch, [s.guest for s in bill.state])),
        memory_bytes=app.memory_bytes,
        missing_env=tuple(app.env_from_device),
    )


def _lay_out(bundle: Bundle, root: Path, files: Sequence[File]) -> None:
    # Paths were looked at when the bill was read: they are relative and lead nowhere else.
    root.mkdir()
    for file in files:
        to = root / file.path
        to.parent.mkdir(parents=True, exist_ok=True)
        _copy(bundle, file.digest, to)


def _copy(bundle: Bundle, digest: str, to: Path) -> None:
    from lading.errors import BundleError

    found = hashlib.sha256()
    with to.open("wb") as target:
        source = bundle.open_blob(digest)
        while chunk := source.read(_CHUNK):
            found.update(chunk)
            target.write(chunk)
    if f"sha256:{found.hexdigest()}" != digest:
        raise BundleError(f"{bundle.path.name} is damaged: the content of {digest} is another", remedy="get it again")


def cache_key(bill: Bill, variant_id: str, schema: str) -> str:
    """A name for the trace of a bundle: the same for the same guest, models, directories, arguments and reader."""
    import json
    from dataclasses import asdict

    from lading import __version__

    variant = bill.variant(variant_id)
    whole = {
        "schema": schema,
        "lading": __version__,
        "variant": {"module": asdict(variant.module), "models": [asdict(m) for m in variant.models]},
        "answers": {key: variant.needs.get(key) for key in ("errno", "sizes")},
        "models": [asdict(m) for m in bill.models],
        "dirs": [asdict(d) for d in bill.dirs],
        "state": [asdict(s) for s in bill.state],
        "app": {
            "args": list(bill.app.args),
            "env": dict(bill.app.env),
            "memory": bill.app.memory_bytes,
            "env_from_device": list(bill.app.env_from_device),
        },
    }
    return hashlib.sha256(json.dumps(whole, sort_keys=True, default=str).encode()).hexdigest()
