"""Sessions with devices that are opened while this machine still has something to get ready.

A connection and the start of an agent take a small device seconds, in which packing can go on here. Until what is to be
sent is ready, nothing is brought to a device and nobody is asked for a password: should it fail, it was as if no device
had been named.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Self

from lading.links.secrets import UserSecrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lading.bootstrap.stages import Stage
    from lading.client import Session
    from lading.devices import Device

    OnStage = Callable[[Device, Stage], None]


class _NotWanted(Exception):
    """What was to be sent did not get ready."""


class _Secrets(UserSecrets):
    """The user's secrets; asked for when nothing else is going on."""

    def __init__(self, wait: Callable[[], None]) -> None:
        self._wait = wait

    def ask(self, prompt: str, *, echo: bool = False) -> str | None:
        """What the user types; None without a terminal."""
        self._wait()
        return super().ask(prompt, echo=echo)


class Opening:
    """Opens sessions with those devices where that can be done without anybody's help; use it in a ``with`` statement.

    Args:
        devices: which.
        on_stage: told what happens when a device has to be set up, which is not before :meth:`take`.
    """

    def __init__(self, devices: Iterable[Device], on_stage: OnStage) -> None:
        self._on_stage = on_stage
        self._ready = threading.Event()
        self._over = False
        self._begun = {str(device): _One(device, self) for device in devices if _can_wait(device)}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Whatever nobody took is closed; what is still under way is not waited for."""
        self._over = True
        self._ready.set()
        for one in self._begun.values():
            one.give_up()

    def take(self, device: Device) -> Session | None:
        """The session with a device, once it is open; None where none is being opened. The caller closes it.

        Raises:
            LadingError: what :func:`lading.client.connect` raises.
        """
        one = self._begun.pop(str(device), None)
        if one is None:
            return None
        self._ready.set()
        return one.take()

    def wait(self) -> None:
        """Wait until what is to be sent is ready.

        Raises:
            _NotWanted: it will not be.
        """
        self._ready.wait()
        if self._over:
            raise _NotWanted

    def stage(self, device: Device, stage: Stage) -> None:
        """A device has to be set up: that waits."""
        self.wait()
        self._on_stage(device, stage)


class _One:
    def __init__(self, device: Device, opening: Opening) -> None:
        self._device, self._opening = device, opening
        self._session: Session | None = None
        self._error: BaseException | None = None
        self._lock = threading.Lock()
        self._unwanted = False
        self._thread = threading.Thread(target=self._open, name=f"open-{device}", daemon=True)
        self._thread.start()

    def _open(self) -> None:
        from lading.client import connect

        try:
            session = connect(
                self._device,
                on_stage=lambda stage: self._opening.stage(self._device, stage),
                secrets=_Secrets(self._opening.wait),
            )
        except BaseException as error:  # noqa: BLE001  whoever takes the session gets it
            self._error = error
            return
        with self._lock:
            self._session = session
        if self._unwanted:
            self.give_up()

    def take(self) -> Session:
        self._thread.join()
        if self._error is not None:
            raise self._error
        assert self._session is not None
        return self._session

    def give_up(self) -> None:
        self._unwanted = True
        with self._lock:
            session, self._session = self._session, None
        if session is not None:
            with contextlib.suppress(Exception):
                session.close()


def _can_wait(device: Device) -> bool:
    """Whether a device is reached by SSH of our own: the system's ``ssh`` may ask for passwords whenever it likes."""
    from lading.devices import EmulatedDevice
    from lading.devices.address import Board, OpenSsh, Ssh

    if isinstance(device, EmulatedDevice):
        return False
    address = device.address
    return (isinstance(address, Ssh) and not isinstance(address, OpenSsh)) or (
        isinstance(address, Board) and address.uart is None
    )
