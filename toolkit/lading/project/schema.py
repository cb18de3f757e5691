"""The shape of ``lading.toml``, schema 1. Rules that types cannot say are in :mod:`lading.project.rules`."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from lading.datafiles import Table
from lading.units import Size  # noqa: TC001 - msgspec reads the annotations

SCHEMA: Final = 1

FROM_DEVICE: Final = "from-device-env"
"""The key below ``env`` that lists the variables whose values only the device knows."""

Encoding = Literal["tensorflowlite", "openvino", "onnx", "tensorflow", "pytorch", "ggml", "autodetect"]
Target = Literal["cpu", "gpu", "tpu", "auto"]
Runtime = Literal["lading", "wasmedge", "iwasm", "wasmtime"]
Int8 = Literal["as-u8", "quantize-f32"]


class AppTable(Table, frozen=True):
    """``[app]``"""

    name: str
    version: str
    module: str
    args: list[str] = msgspec.field(default_factory=list)
    env: dict[str, str | list[str]] = msgspec.field(default_factory=dict)
    runtime: Runtime = "lading"
    threads: int = 1
    timeout: str | int | float | None = None
    memory: Size | None = None


class DirTable(Table, frozen=True):
    """``[[dir]]``: shipped with the app, read-only on the device."""

    host: str
    guest: str


class StateTable(Table, frozen=True):
    """``[[state]]``: writable, survives releases."""

    guest: str


class ModelTable(Table, frozen=True):
    """``[[model]]``"""

    name: str
    path: str
    version: str = ""
    encoding: Encoding = "tensorflowlite"
    target: Target = "cpu"
    int8: Int8 = "as-u8"
    state: dict[str, str] = msgspec.field(default_factory=dict)


class GoldenTable(Table, frozen=True):
    """``[[golden]]``: tensor name to ``.npy`` file."""

    model: str
    inputs: dict[str, str]
    outputs: dict[str, str]
    tolerance: int = 1
    atol: float = 1e-5
    rtol: float = 1e-4


class SmokeTable(Table, frozen=True):
    """``[[smoke]]``"""

    args: list[str] = msgspec.field(default_factory=list)
    exit: int = 0
    stdout: str | None = None


class PackTable(Table, frozen=True):
    """``[pack]``: for which firmwares a bundle has variants."""

    wanted_for: list[str] | None = msgspec.field(default=None, name="for")
    """Targets, firmware profiles and devices; absent: every firmware that hosts TFLite on Linux."""
    optimize: bool = False
    """Rewritten guests without what no engine needs."""
    ahead_of_time: bool = False
    """For the targets in ``for`` also variants that are compiled ahead, where the compiler is on this machine."""


class EnginesTable(Table, frozen=True):
    """``[engines]``: versions of the native runner's engines, where others than the default ones are wanted."""

    wasmtime: str | None = None
    litert: str | None = None


class ProjectTable(Table, frozen=True):
    """The whole file."""

    schema: int
    app: AppTable
    dir: list[DirTable] = msgspec.field(default_factory=list)
    state: list[StateTable] = msgspec.field(default_factory=list)
    model: list[ModelTable] = msgspec.field(default_factory=list)
    golden: list[GoldenTable] = msgspec.field(default_factory=list)
    smoke: list[SmokeTable] = msgspec.field(default_factory=list)
    pack: PackTable = msgspec.field(default_factory=PackTable)
    engines: EnginesTable = msgspec.field(default_factory=EnginesTable)
