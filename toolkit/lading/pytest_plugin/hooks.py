"""What pytest is told: options, the fixtures ``lading_device`` and ``lading_app``, one user of a device at a time.

Nothing but pytest itself is imported here before a test asks for a device.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lading.devices import Device
    from lading.pytest_plugin.device import LadingApp, LadingDevice

_DEVICES = pytest.StashKey[list["Device"]]()
_LOCK = pytest.StashKey[Any]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options and their counterparts in the configuration file."""
    group = parser.getgroup("lading", "lading: guests and models on devices")
    group.addoption(
        "--lading-device",
        action="append",
        default=[],
        metavar="DEVICE",
        help="An address such as emulated://raspberry-pi-4b, or a name or group of devices.toml; may be repeated.",
    )
    group.addoption(
        "--lading-project", metavar="PROJECT", help="The project or bundle that lading_app deploys; default: here."
    )
    parser.addini("lading_devices", "Devices, where no --lading-device is given.", type="linelist", default=[])
    parser.addini("lading_project", "The project that lading_app deploys, from this file's folder.", default="")
    parser.addini("lading_lock_timeout", "Seconds to wait for a device that another test run uses.", default="600")


def pytest_configure(config: pytest.Config) -> None:
    """Settle the devices; an address that means nothing ends the run at once."""
    config.addinivalue_line(
        "markers", "lading_project(path): the project or bundle that lading_app deploys, from the test file's folder"
    )
    texts = config.getoption("--lading-device") or config.getini("lading_devices")
    config.stash[_DEVICES] = _resolve(config, texts) if texts else []


def _resolve(config: pytest.Config, texts: list[str]) -> list[Device]:
    from lading.devices import resolve_many
    from lading.errors import LadingError

    try:
        return resolve_many(texts, _here(config))
    except LadingError as error:
        raise pytest.UsageError(_said(error)) from None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test once on each device."""
    devices = metafunc.config.stash[_DEVICES]
    if devices and "lading_device" in metafunc.fixturenames:
        metafunc.parametrize("lading_device", devices, ids=[str(d) for d in devices], indirect=True, scope="session")


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """Wait until nobody else tests on the same real device; one lock at a time, so that nobody waits in a circle."""
    from_ = getattr(item, "callspec", None)
    device = from_.params.get("lading_device") if from_ is not None else None
    if device is not None:
        from lading.pytest_plugin.lock import DeviceLock, InUse, is_shared

        if is_shared(device):
            lock = item.stash[_LOCK] = DeviceLock(device)
            why = ""
            try:
                lock.acquire(float(item.config.getini("lading_lock_timeout")))
            except InUse as error:
                why = str(error)
            if why:
                pytest.fail(why, pytrace=False)
    yield


@pytest.hookimpl(hookwrapper=True, trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """Let the next one at the device."""
    yield
    lock = item.stash.get(_LOCK, None)
    if lock is not None:
        lock.release()


@pytest.fixture(scope="session")
def lading_device(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LadingDevice]:
    """A device of ``--lading-device``, connected: ``deploy``, ``run``, ``session``. Each test runs once on each device.

    An emulated device without a name is a new one for each pytest run; each worker of pytest-xdist has its own.
    """
    from lading.errors import LadingError
    from lading.pytest_plugin.device import LadingDevice
    from lading.pytest_plugin.own_state import for_this_worker

    device = getattr(request, "param", None)
    if device is None:
        known = request.config.stash[_DEVICES]
        if not known:
            pytest.skip("no device to test on: give --lading-device emulated://TARGET (or ssh://…, board://…)")
        if len(known) > 1:
            pytest.fail("there are several devices: ask for lading_device as an argument", pytrace=False)
        device = known[0]
    worker = getattr(request.config, "workerinput", {}).get("workerid", "")
    mine = for_this_worker(device, worker, lambda: tmp_path_factory.mktemp("lading-device"))
    opened = LadingDevice(mine)
    failure: LadingError | None = None
    try:
        opened.connect()
    except LadingError as error:
        failure = error
    if failure is not None:
        pytest.fail(_said(failure), pytrace=False)
    yield opened
    opened.close()


@pytest.fixture
def lading_app(request: pytest.FixtureRequest, lading_device: LadingDevice) -> LadingApp:
    """The project under test, deployed to the device once: ``run``, ``infer``, ``compare_host``.

    The project is that of ``@pytest.mark.lading_project(path)``, of ``--lading-project``, of ``lading_project`` in the
    configuration file, or the folder where pytest was started.
    """
    from lading.errors import LadingError

    project = _project(request)
    try:
        return lading_device.deploy(project)
    except LadingError as error:
        failure = error
    pytest.fail(_said(failure), pytrace=False)


def _project(request: pytest.FixtureRequest) -> Path:
    config = request.config
    marker = request.node.get_closest_marker("lading_project")
    if marker is not None:
        return Path(request.node.path.parent, marker.args[0])
    if given := config.getoption("--lading-project"):
        return Path(_here(config), given)
    if written := config.getini("lading_project"):
        return Path(config.inipath.parent if config.inipath else config.rootpath, written)
    return _here(config)


def _here(config: pytest.Config) -> Path:
    return Path(config.invocation_params.dir)


def _said(error: Any) -> str:
    return f"lading: {error.message}" + (f"\n  remedy: {error.remedy}" if error.remedy else "")
