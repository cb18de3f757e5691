"""Every error that lading raises on purpose.

::

    LadingError                     says what, why and what to do; ends a verb with `exit_status`
    ├── InputError            2     what the user gave cannot be used
    │   ├── UsageError              wrong use of a verb
    │   ├── ProjectError            lading.toml, or a file that it names
    │   ├── DataFileError           a target, profile or devices file
    │   ├── BundleError             a bundle that is damaged, hostile or not ours
    │   ├── ModuleError             a WebAssembly module that cannot be read
    │   ├── ModelError              a model that cannot be read
    │   ├── AddressError            not a device address
    │   ├── SshConfigError          an ssh_config that cannot be followed
    │   ├── NameNotFound            no target, profile or device of that name
    │   └── NameNotUnique           several of them
    ├── DeviceError           1     the device, the check or the app said no
    │   ├── LockHeld                another client is at work on the device
    │   ├── NoSpace                 storage or inodes are used up
    │   ├── TooLarge                over a limit of the target
    │   ├── GoldenMismatch          a golden vector came out wrong
    │   ├── SmokeFailed             a smoke run came out wrong
    │   ├── NoSuchApp, NoSuchRelease, NoSuchFile, NoSuchRun
    │   ├── NotPending              no release waits to be confirmed (any more)
    │   ├── NoService               the device has no way to start something by itself
    │   ├── CheckRefused            the check says that it will not work
    │   │   └── NoVariantFits       nor will any other variant of the bundle
    │   ├── DeviceUnfit             lading cannot be brought there
    │   │   ├── NoPython            no Python that could run the agent
    │   │   ├── EngineUnfit         no engine that fits its processor or system libraries
    │   │   └── HomeUnusable        its folder cannot be written, or nothing in it may be started
    │   ├── EngineMissing           it lacks the engines that an app asks for
    │   ├── EngineFailed            engines were brought and do not work there
    │   ├── Unsupported             that kind of device cannot do it
    │   ├── SmpRefused              a microcontroller's firmware refuses a management command
    │   ├── VersionMismatch         agent and client do not understand each other
    │   └── AgentFailed             the agent failed in a way of its own
    ├── DeviceUnreachable     3     no such device, or no way to it
    │   ├── HostNotFound            its name means nothing here
    │   ├── ConnectionRefused       nobody listens there
    │   ├── TimedOut                nobody answers
    │   ├── BoardDown               a board of `lading board` that does not run
    │   ├── ProxyFailed             the way through another host is not open
    │   ├── HostKeyRefused          it may be somebody else
    │   │   └── HostKeyUnknown, HostKeyChanged, HostKeyRevoked
    │   ├── AuthFailed              it does not let us in
    │   ├── NoCommands              it lets us in, and starts no programs
    │   ├── PortRefused             the serial port may not be used by this user
    │   ├── PortInUse               another program has the serial port
    │   ├── SmpGarbled              what answers is not SMP, or damaged
    │   ├── ConsoleUnusable         a console without a shell: silent, garbled, a boot loader
    │   └── LinkLost                it was there, then it was not
    ├── EngineError           1     an engine of the native runner cannot be had
    │   ├── NoSuchEngine            no such engine, version or architecture is known
    │   ├── EngineUnreachable       it is not here, and nobody gives it
    │   └── EngineDamaged           it is not what was pinned
    ├── BoardError            1     a board of `lading board` does not do what it should
    │   ├── BoardUnavailable        this machine lacks something that it needs
    │   ├── BoardBuildFailed        its image could not be built
    │   ├── BoardBroken             it does not start, or not to its end
    │   └── BoardBusy               another command is at work on it
    ├── VariantError          1     a model or guest cannot be had in the form that a board needs
    │   ├── NotRetypable            a model whose inputs or outputs cannot have another type
    │   ├── NotQuantizable          a model that cannot be quantized
    │   ├── FlashImageError         an image for a microcontroller's flash cannot be made
    │   │   └── DoesNotFit          guest, models or memory are more than the board has
    │   └── NotAdaptable            a guest that cannot be rewritten for a host
    └── RunFailed             1     a run ended by the host, not by the guest
        └── CannotRun               the guest cannot be run at all

Under ``run`` and ``emulate`` the status is `run_status` instead: 125 lading failed, 126 the guest cannot be run,
127 device or module not found.
"""

from __future__ import annotations

from typing import Any, ClassVar


class LadingError(Exception):
    """Something lading cannot do. ``message`` names the thing and the cause, ``remedy`` what to do about it."""

    exit_status: ClassVar[int] = 1
    run_status: ClassVar[int] = 125
    code: ClassVar[str] = "failed"
    """A short stable name for programs (``--json``, the wire)."""

    def __init__(self, message: str, *, remedy: str = "", details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.details = details or {}

    def to_json(self) -> dict[str, Any]:
        """The error as it stands in a verb's JSON document."""
        return {"code": self.code, "message": self.message, "remedy": self.remedy, "details": self.details}


class InputError(LadingError):
    """What the user gave cannot be used."""

    exit_status = 2
    run_status = 126
    code = "input"


class UsageError(InputError):
    """Wrong use of a verb."""

    run_status = 125
    code = "usage"


class ProjectError(InputError):
    """``lading.toml``, or a file that it names."""

    code = "project"


class DataFileError(InputError):
    """A target, firmware profile or devices file."""

    run_status = 125
    code = "data-file"


class BundleError(InputError):
    """A bundle that is damaged, hostile or not ours."""

    code = "bundle"


class ModuleError(InputError):
    """A WebAssembly module that cannot be read."""

    code = "module"


class ModelError(InputError):
    """A model that cannot be read."""

    code = "model"


class AddressError(InputError):
    """Not a device address."""

    run_status = 125
    code = "address"


class SshConfigError(InputError):
    """An ``ssh_config`` that is wrong, or says what only OpenSSH itself can follow."""

    run_status = 125
    code = "ssh-config"


class NameNotFound(InputError):
    """No target, firmware profile or device of that name."""

    run_status = 127
    code = "name-not-found"


class NameNotUnique(InputError):
    """A prefix that several names share."""

    run_status = 127
    code = "name-not-unique"


class DeviceError(LadingError):
    """The device, the check or the app said no."""

    code = "device"


class LockHeld(DeviceError):
    """Another client is at work on the device."""

    code = "lock-held"


class NoSpace(DeviceError):
    """Storage or inodes of the device are used up."""

    code = "no-space"


class TooLarge(DeviceError):
    """Over a limit of the target."""

    code = "too-large"


class GoldenMismatch(DeviceError):
    """A golden vector came out wrong on the device."""

    code = "golden-mismatch"


class SmokeFailed(DeviceError):
    """A smoke run came out wrong on the device."""

    code = "smoke-failed"


class NoSuchApp(DeviceError):
    """The device holds no such app."""

    run_status = 127
    code = "no-such-app"


class NoSuchRelease(DeviceError):
    """The app has no such release on the device."""

    run_status = 127
    code = "no-such-release"


class NoSuchFile(DeviceError):
    """The app has no such file on the device."""

    code = "no-such-file"


class NoSuchRun(DeviceError):
    """The app has no such detached run on the device."""

    code = "no-such-run"


class NotPending(DeviceError):
    """No release waits to be confirmed: none was to be, or the device went back already."""

    code = "not-pending"


class NoService(DeviceError):
    """The device has no way to start something by itself."""

    code = "no-service"


class CheckRefused(DeviceError):
    """The check says that it will not work, or does not know."""

    run_status = 126
    code = "check-refused"


class NoVariantFits(CheckRefused):
    """None of a bundle's variants works on the device; ``details`` has the verdict of each."""

    code = "no-variant"


class DeviceUnfit(DeviceError):
    """Lading cannot be brought to the device."""

    code = "device-unfit"


class NoPython(DeviceUnfit):
    """The device has no Python that could run the agent."""

    code = "no-python"


class EngineUnfit(DeviceUnfit):
    """There is no engine for the device's processor or system libraries."""

    code = "engine-unfit"


class HomeUnusable(DeviceUnfit):
    """The agent's folder cannot be written, or nothing in it may be started."""

    code = "home-unusable"


class EngineMissing(DeviceError):
    """The device does not have the engines, or their versions, that an app asks for."""

    run_status = 125
    code = "engine-missing"


class EngineFailed(DeviceError):
    """Engines were brought to the device and do not work there."""

    code = "engine-failed"


class Unsupported(DeviceError):
    """That kind of device cannot do what was asked."""

    code = "unsupported"


class SmpRefused(DeviceError):
    """A microcontroller's firmware refuses a command of its management protocol. ``reason`` is SMP's name for why."""

    code = "smp-refused"

    def __init__(
        self, message: str, *, remedy: str = "", details: dict[str, Any] | None = None, reason: str = ""
    ) -> None:
        super().__init__(message, remedy=remedy, details={**(details or {}), "reason": reason})
        self.reason = reason


class VersionMismatch(DeviceError):
    """Agent and client do not understand each other."""

    code = "version-mismatch"


class AgentFailed(DeviceError):
    """The agent failed in a way of its own."""

    code = "agent-failed"


class DeviceUnreachable(LadingError):
    """No such device, or no way to it."""

    exit_status = 3
    run_status = 127
    code = "unreachable"


class HostNotFound(DeviceUnreachable):
    """The name of the host means nothing here."""

    code = "host-not-found"


class ConnectionRefused(DeviceUnreachable):
    """Nobody listens at the port."""

    code = "connection-refused"


class TimedOut(DeviceUnreachable):
    """Nobody answers in time."""

    code = "timed-out"


class BoardDown(DeviceUnreachable):
    """A board of ``lading board`` that does not run."""

    code = "board-down"


class ProxyFailed(DeviceUnreachable):
    """The way through another host (``ProxyJump``, ``ProxyCommand``) is not open."""

    code = "proxy-failed"


class HostKeyRefused(DeviceUnreachable):
    """Whoever answers has not shown that it is the device."""

    code = "host-key"


class HostKeyUnknown(HostKeyRefused):
    """The host's key was never seen before."""

    code = "host-key-unknown"


class HostKeyChanged(HostKeyRefused):
    """The host's key is another than before."""

    code = "host-key-changed"


class HostKeyRevoked(HostKeyRefused):
    """The host's key must not be trusted any more."""

    code = "host-key-revoked"


class AuthFailed(DeviceUnreachable):
    """The device does not let the user in."""

    code = "auth-failed"


class NoCommands(DeviceUnreachable):
    """The device lets the user in, and starts no programs."""

    code = "no-commands"


class PortRefused(DeviceUnreachable):
    """The serial port may not be used by this user."""

    code = "port-refused"


class PortInUse(DeviceUnreachable):
    """Another program has the serial port."""

    code = "port-in-use"


class ConsoleUnusable(DeviceUnreachable):
    """There is a console, and no shell can be had on it."""

    code = "console"


class SmpGarbled(DeviceUnreachable):
    """What answers does not speak SMP, or the line damages what it says."""

    code = "smp-garbled"


class LinkLost(DeviceUnreachable):
    """The device was there, then it was not."""

    run_status = 125
    code = "link-lost"


class EngineError(LadingError):
    """An engine of the native runner cannot be had."""

    code = "engine"


class NoSuchEngine(EngineError):
    """No engine of that name, version or architecture is known."""

    exit_status = 2
    code = "no-such-engine"


class EngineUnreachable(EngineError):
    """The engine is not on this machine, and neither a folder nor a package registry gives it."""

    code = "engine-unreachable"


class EngineDamaged(EngineError):
    """What was found is not what was pinned."""

    code = "engine-damaged"


class BoardError(LadingError):
    """A board of ``lading board`` does not do what it should."""

    code = "board"


class BoardUnavailable(BoardError):
    """This machine lacks something that the board needs."""

    code = "board-unavailable"


class BoardBuildFailed(BoardError):
    """The board's image could not be built."""

    code = "board-build"


class BoardBroken(BoardError):
    """The board does not start, or not to its end."""

    code = "board-broken"


class BoardBusy(BoardError):
    """Another command is at work on the board."""

    code = "board-busy"


class VariantError(LadingError):
    """A model or guest cannot be had in the form that a board needs."""

    run_status = 126
    code = "variant"


class NotRetypable(VariantError):
    """A model whose inputs or outputs cannot have another type and mean the same."""

    code = "not-retypable"


class NotQuantizable(VariantError):
    """A model that cannot be quantized, or not with what is installed or given."""

    code = "not-quantizable"


class FlashImageError(VariantError):
    """An image for a microcontroller's flash that cannot be made."""

    code = "flash-image"


class DoesNotFit(FlashImageError):
    """Guest, models or what they need at run time are more than a microcontroller has."""

    code = "does-not-fit"


class NotAdaptable(VariantError):
    """A guest that cannot be rewritten for a host."""

    code = "not-adaptable"


class RunFailed(LadingError):
    """A run ended by the host (a limit, an interpreter that crashed), not by the guest."""

    code = "run-failed"


class CannotRun(RunFailed):
    """The guest cannot be run at all: an invalid module, an import that nobody provides."""

    run_status = 126
    code = "cannot-run"
