"""A device and an app on it, as tests use them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lading.client.events import Log, Output, Tensor
from lading.errors import LinkLost

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from lading.client import RunResult, Session
    from lading.client.events import Event
    from lading.devices import Device
    from lading.numerics.app import AppModel, AppModels
    from lading.numerics.compare_host import Comparison

    Array = npt.NDArray[Any]


@dataclass
class Ran:
    """A run of a guest that has ended."""

    result: RunResult = field(init=False, repr=False)
    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    log: list[str] = field(default_factory=list)
    """What the host said."""
    tensors: list[Tensor] = field(default_factory=list)
    """What ``compute_single`` yielded, in order."""

    @property
    def status(self) -> int:
        """The exit status: the guest's own, or 125 and above where the host ended it."""
        return self.result.status

    @property
    def kind(self) -> str:
        """How it ended: ``exit``, ``trap``, ``time-limit`` …"""
        return self.result.kind

    @property
    def metrics(self) -> Mapping[str, Any]:
        """Times and sizes: ``median_ms``, ``peak_memory_bytes`` …"""
        return self.result.metrics

    @property
    def text(self) -> str:
        """Standard output as text."""
        return self.stdout.decode("utf-8", "replace")

    @property
    def outputs(self) -> dict[str, list[Array]]:
        """The tensors of ``compute_single`` by output name, one array a step."""
        import numpy as np

        found: dict[str, list[Array]] = {}
        for tensor in self.tensors:
            array = np.frombuffer(tensor.data, np.dtype(tensor.dtype).newbyteorder("<")).reshape(tensor.shape)
            found.setdefault(tensor.output, []).append(array.astype(tensor.dtype))
        return found

    def check(self) -> Ran:
        """Assert that it ended with status 0.

        Raises:
            AssertionError: how it ended, and the end of what it wrote.
        """
        __tracebackhide__ = True
        if self.status:
            said = f"{self.kind}: {self.result.message}" if self.result.outcome != "exit" else "its own"
            raise AssertionError(
                f"{self.result.app} ended with status {self.status} ({said})\n"
                f"--- standard error\n{self.stderr[-2000:].decode('utf-8', 'replace')}"
                f"--- standard output\n{self.stdout[-2000:].decode('utf-8', 'replace')}"
            )
        return self

    def take(self, event: Event) -> None:
        """An event of the run."""
        if isinstance(event, Output):
            (self.stdout if event.stream == 1 else self.stderr).extend(event.data)
        elif isinstance(event, Log):
            self.log.append(event.text)
        elif isinstance(event, Tensor):
            self.tensors.append(event)


class LadingDevice:
    """A device that tests use, with one connection that stays open.

    Args:
        device: which (see ``lading.devices.resolve``).
    """

    def __init__(self, device: Device) -> None:
        self.device = device
        self._session: Session | None = None
        self._apps: dict[tuple[Path, tuple[tuple[str, Any], ...]], LadingApp] = {}

    def __repr__(self) -> str:
        return f"LadingDevice({str(self.device)!r})"

    @property
    def name(self) -> str:
        """What the user calls it."""
        return str(self.device)

    @property
    def session(self) -> Session:
        """The connection: everything that can be asked of a device (``lading.client.Session``)."""
        return self.connect()

    def connect(self) -> Session:
        """Connect, unless there is a connection.

        Raises:
            DeviceUnreachable: there is no way to it.
        """
        from lading.client import connect

        if self._session is None:
            self._session = connect(self.device)
        return self._session

    def close(self) -> None:
        """End the connection; the next use opens another one."""
        session, self._session = self._session, None
        if session is not None:
            session.close()
        for app in self._apps.values():
            app.close()

    def deploy(
        self,
        project: str | Path,
        *,
        check: bool = True,
        allow_unknown: bool = False,
        runtime: str | None = None,
        variant: str | None = None,
    ) -> LadingApp:
        """Pack, check and push a project (or push a bundle), as ``lading deploy --no-run`` does; once for each project.

        Raises:
            LadingError: the project cannot be packed, the check refuses it, or the device does.
        """
        from lading.deploy import DeployOptions, Watcher, deploy_one, prepare

        path = Path(project).resolve()
        options: dict[str, Any] = {
            "check": check,
            "allow_unknown": allow_unknown,
            "runtime": runtime,
            "variant": variant,
        }
        key = (path, tuple(options.items()))
        if key not in self._apps:
            bundle = prepare(path)
            done = deploy_one(bundle, self.device, DeployOptions(run=False, **options), Watcher(), self.session)
            if done.error is not None:
                self._forget(done.error)
                raise done.error
            assert done.push is not None
            self._apps[key] = LadingApp(self, bundle, done.push.app, done.push.release, done.push.variant)
        return self._apps[key]

    def run(
        self,
        app: str | None = None,
        args: Sequence[str] | None = None,
        *,
        stdin: bytes | None = None,
        release: str | None = None,
        **options: Any,
    ) -> Ran:
        """Run an app that the device has; ``options`` are those of ``Session.run`` (``env``, ``timeout_s`` …).

        A run that the host ends is a result too; see :meth:`Ran.check`.
        """
        ran = Ran()
        try:
            ran.result = self.session.run(app, args=args, stdin=stdin, release=release, on_event=ran.take, **options)
        except LinkLost as error:
            self._forget(error)
            raise
        return ran

    def _forget(self, error: Exception) -> None:
        """A connection that is lost is not used again."""
        if isinstance(error, LinkLost) and self._session is not None:
            session, self._session = self._session, None
            session.close()


class LadingApp:
    """An app on a device, as a project packed it. Use ``LadingDevice.deploy`` to get one."""

    def __init__(self, device: LadingDevice, bundle: Path, name: str, release: str, variant: str) -> None:
        self.device = device
        self.bundle = bundle
        self.name = name
        self.release = release
        self.variant = variant

    def __repr__(self) -> str:
        return f"LadingApp({self.name} {self.release} on {self.device.name})"

    def close(self) -> None:
        """Close the bundle."""
        models = self.__dict__.pop("models", None)
        if models is not None:
            models.close()

    @cached_property
    def models(self) -> AppModels:
        """The app's models, in the variant that the device has."""
        from lading.numerics.app import AppModels

        return AppModels(self.bundle, self.variant)

    def model(self, name: str | None = None) -> AppModel:
        """A model by name, or the only one: ``inputs`` and ``outputs`` tell dtype, shape, scale and zero point."""
        return self.models.get(name)

    def run(self, *args: str, stdin: bytes | None = None, **options: Any) -> Ran:
        """Run the app, with its own arguments where none are given; ``options`` as for ``Session.run``."""
        return self.device.run(self.name, args or None, stdin=stdin, release=self.release, **options)

    def run_guest(self, guest: bytes | Path, *, stdin: bytes | None = None, **options: Any) -> Ran:
        """Run another module among the app's models; ``options`` as for ``Session.run_guest``."""
        data = guest.read_bytes() if isinstance(guest, Path) else guest
        ran = Ran()
        ran.result = self.device.session.run_guest(
            data, self.name, release=self.release, stdin=stdin, on_event=ran.take, **options
        )
        return ran

    def infer(
        self, inputs: Mapping[str, npt.ArrayLike], model: str | None = None, *, timeout_s: float | None = None
    ) -> dict[str, Array]:
        """Run a bare model on the device.

        Args:
            inputs: an array for each input, of its type and shape.
            model: the model; None for the only one.
            timeout_s: seconds it may take.

        Returns:
            Arrays by output name.

        Raises:
            UsageError: the inputs do not fit the model.
            RunFailed: the device could not run it.
        """
        from lading.numerics.infer import on_device

        chosen = self.model(model)
        found = on_device(
            self.device.session,
            chosen,
            [chosen.in_order(inputs)],
            app=self.name,
            release=self.release,
            timeout_s=timeout_s,
        )
        return found.outputs[0]

    def infer_on_host(
        self, inputs: Mapping[str, npt.ArrayLike], model: str | None = None, *, timeout_s: float | None = None
    ) -> dict[str, Array]:
        """The same on this machine."""
        from lading.numerics.infer import on_host

        chosen = self.model(model)
        return on_host(chosen, [chosen.in_order(inputs)], timeout_s=timeout_s).outputs[0]

    def compare_host(
        self,
        inputs: str | Path | None = None,
        model: str | None = None,
        *,
        steps: float | None = None,
        atol: float | None = None,
        rtol: float | None = None,
    ) -> Comparison:
        """Run the app's models on the device and on this machine, as ``lading run --compare-host`` does.

        Args:
            inputs: a folder of ``.npy`` files; None for the golden inputs.
            model: this model alone.
            steps: quantization steps that integers may be apart, in place of what the golden vectors say.
            atol: how far floats may be apart.
            rtol: in addition, as a part of the value.
        """
        from lading.numerics.compare_host import Tolerance, compare_host

        return compare_host(
            self.device.session,
            self.models,
            inputs=None if inputs is None else Path(inputs),
            only=model,
            tolerance=Tolerance(steps, atol, rtol),
        )

    def assert_same_as_host(
        self, inputs: str | Path | None = None, model: str | None = None, **tolerance: float
    ) -> None:
        """Assert that the models give on the device what they give here; arguments as :meth:`compare_host`.

        Raises:
            AssertionError: tensor, element, expected and got of each output that is too far apart.
        """
        __tracebackhide__ = True
        found = self.compare_host(inputs, model, **tolerance)
        if not found.ok:
            raise AssertionError("\n".join((f"{self!r} differs from this machine:", *found.failures)))

    def fetch(self, path: str) -> bytes:
        """A file that the app wrote, by its path in the guest."""
        data = bytearray()
        self.device.session.fetch(self.name, path, data.extend)
        return bytes(data)
