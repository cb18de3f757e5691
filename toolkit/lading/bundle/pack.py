"""Makes the bundle of a project."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from lading.bundle import media
from lading.bundle.cargo import Cargo
from lading.bundle.manifest import plan
from lading.bundle.writer import write_bundle
from lading.errors import ProjectError
from lading_agent.bill import DEFAULT_VARIANT, App, Bill, BillError, Model, Smoke, StateDirectory, Variant

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lading.project.load import Project
    from lading.project.schema import ModelTable

    Progress = Callable[[str, int, int], None]


class Variants(Protocol):
    """Whoever adds variants to a bill; see :class:`lading.variants.packing.Packer`."""

    def add(self, project: Project, bill: Bill, cargo: Cargo, progress: Progress | None = None) -> Bill:
        """The bill with its variants, their contents in the cargo."""


@dataclass(frozen=True)
class PackResult:
    """A bundle that was written."""

    path: Path
    bill: Bill
    digest: str
    """The top manifest's digest: the bundle's name in a registry."""
    size: int
    """Bytes of the file."""
    blob_count: int
    warnings: tuple[str, ...] = ()


def default_path(root: Path, name: str, version: str) -> Path:
    """Where a project's bundle goes unless the user says otherwise."""
    return root / "dist" / bundle_name(name, version)


def bundle_name(name: str, version: str) -> str:
    """``digits-1.0.0.lading``"""
    return f"{name}-{version}{media.SUFFIX}"


def pack(
    project: Project,
    output: Path | None = None,
    *,
    variants: Variants | None = None,
    progress: Progress | None = None,
) -> PackResult:
    """Pack a project. The same contents give the same bytes.

    Args:
        project: what to pack.
        output: the file to make or replace; ``dist/NAME-VERSION.lading`` in the project when None.
        variants: adds variants; None: the bundle holds the guest and its models as they are.
        progress: called with the stage (``hash``, ``variants``, ``write``), bytes done and bytes in all as far as they
            are known (of variants: firmwares).

    Raises:
        ProjectError: the project names what is not there or cannot be shipped.
        ModuleError: the guest is not a core module.
        ModelError: a model is not of its encoding.
        UsageError: the output cannot be written.
    """
    hashed = _Meter("hash", progress, _large_bytes(project))
    cargo = Cargo(project, hashed.step)
    try:
        bill = _bill(project, cargo)
        if variants is not None:
            bill = variants.add(project, bill, cargo, progress)
        bill = bill.seal()
    except BillError as error:
        raise ProjectError(
            f"{project.file}: the bill would be refused: {error}",
            remedy="correct what it names; many small files fit when they are put into one archive that the app reads",
        ) from None
    _warn(bill, cargo)
    hashed.finish()
    planned = plan(bill, bill.encode())
    path = output or default_path(project.root, bill.app.name, bill.app.version)
    written = _Meter("write", progress, sum(blob.size for blob in planned.blobs))
    size = write_bundle(path, planned, cargo.contents, written.step)
    return PackResult(path, bill, planned.digest, size, len(planned.blobs), tuple(cargo.warnings))


def _large_bytes(project: Project) -> int:
    """Bytes of module and models: what takes time."""
    paths = [project.place(path) for path in (project.app.module, *(model.path for model in project.models))]
    return sum(path.stat().st_size for path in paths if path.is_file())


def _bill(project: Project, cargo: Cargo) -> Bill:
    module = cargo.module()
    models = tuple(cargo.model(table) for table in project.models)
    return Bill(
        app=App(
            name=project.app.name,
            version=project.app.version,
            args=tuple(project.app.args),
            env=project.env,
            env_from_device=tuple(project.env_from_device),
            runtime=project.app.runtime,
            threads=project.app.threads,
            timeout_s=project.timeout_s,
            memory_bytes=None if project.app.memory is None else int(project.app.memory),
        ),
        variants=(Variant(DEFAULT_VARIANT, module, models),),
        dirs=tuple(cargo.directory(table.host, table.guest) for table in project.dirs),
        state=tuple(StateDirectory(table.guest) for table in project.state),
        models=tuple(_model(table) for table in project.models),
        golden=tuple(cargo.golden(table, index) for index, table in enumerate(project.golden)),
        smoke=tuple(Smoke(tuple(table.args), table.exit, table.stdout) for table in project.smoke),
        engines=_engines(project),
    )


def _engines(project: Project) -> dict[str, str]:
    if project.engines:
        from lading import engines
        from lading.errors import NoSuchEngine

        try:
            engines.choose(project.engines, project.root)
        except NoSuchEngine as error:
            raise ProjectError(f"{project.file}: engines: {error.message}", remedy=error.remedy) from None
    return project.engines


def _model(table: ModelTable) -> Model:
    return Model(table.name, table.version, table.encoding, table.target, table.int8, table.state)


def _warn(bill: Bill, cargo: Cargo) -> None:
    covered = {bill.find_model(golden.model).reference for golden in bill.golden}
    bare = [model.reference for model in bill.models if model.reference not in covered]
    if bare and not bill.smoke:
        cargo.warnings.append(
            f"no golden vector for {', '.join(bare)} and no smoke run: a device cannot tell whether it works"
        )
    if bill.app.memory_bytes is not None:
        for shipped in bill.variants[0].models:
            if shipped.size > bill.app.memory_bytes:
                cargo.warnings.append(
                    f"model '{shipped.name}' has {shipped.size} bytes, more than app.memory allows for a whole run"
                )


class _Meter:
    """Adds up steps for a progress callback. ``total`` is what is known beforehand."""

    def __init__(self, name: str, progress: Progress | None, total: int) -> None:
        self._name, self._progress, self._total, self._done = name, progress, total, 0

    def step(self, count: int) -> None:
        self._done += count
        if self._progress:
            self._progress(self._name, self._done, max(self._done, self._total))

    def finish(self) -> None:
        self._total = self._done
        self.step(0)
