"""What ``lading.toml`` must keep to besides its shape: names, versions, paths, references between tables."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NoReturn

from lading.errors import ProjectError
from lading.project.schema import FROM_DEVICE
from lading_agent import bill_reader as bill
from lading_agent.strictjson import Node, StrictJsonError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lading.project.schema import AppTable, GoldenTable, ModelTable, ProjectTable

_TIME: Final = re.compile(r"(\d{1,12}(?:\.\d{1,6})?) ?(ms|s|min|m|h)")
_SECONDS: Final = {"ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def invalid(where: str, key: str, cause: str, remedy: str) -> ProjectError:
    """The error for one key of a project file."""
    return ProjectError(f"{where}: {key}: {cause}", remedy=remedy, details={"file": where, "key": key})


def seconds(value: str | float) -> float:
    """Seconds from ``"60s"``, ``"1.5m"``, ``"250ms"`` or a plain number of seconds.

    Raises:
        ValueError: not a time above zero.
    """
    found = _TIME.fullmatch(value.strip()) if isinstance(value, str) else None
    if isinstance(value, str) and not found:
        raise ValueError(f"'{value}' is not a time")
    time = float(found[1]) * _SECONDS[found[2]] if found else float(value)
    if not 0.001 <= time <= 1e9:
        raise ValueError(f"'{value}' is not between 1 ms and 1e9 s")
    return time


def find_model(models: Sequence[ModelTable], reference: str) -> ModelTable:
    """The model of that name, or ``name@version``.

    Raises:
        LookupError: there is none, or there are several versions; its arguments are cause and remedy.
    """
    exact = [m for m in models if m.version and f"{m.name}@{m.version}" == reference]
    found = exact or [m for m in models if m.name == reference]
    if len(found) != 1:
        known = ", ".join(f"{m.name}@{m.version}" if m.version else m.name for m in models) or "none"
        why = "names several models" if found else "is not a model of this project"
        raise LookupError(f"'{reference}' {why}", f"models: {known}")
    return found[0]


def check(table: ProjectTable, where: str) -> None:
    """Check the rules of a project file that is called ``where`` in messages.

    Raises:
        ProjectError: names file, key, cause and remedy.
    """
    rules = _Rules(where)
    rules.app(table.app)
    for index, directory in enumerate(table.dir):
        rules.node(directory.guest, f"dir[{index}].guest", bill.guest_path, "write it as in '/data'")
        if not directory.host:
            rules.fail(f"dir[{index}].host", "is empty", "write the folder's path, relative to lading.toml")
    for index, state in enumerate(table.state):
        rules.node(state.guest, f"state[{index}].guest", bill.guest_path, "write it as in '/var'")
    guests = [d.guest for d in table.dir] + [s.guest for s in table.state]
    rules.distinct("dir and state", guests, "give each directory a guest path of its own")
    for index, model in enumerate(table.model):
        rules.model(model, f"model[{index}]")
    references = [f"{m.name}@{m.version}" if m.version else m.name for m in table.model]
    rules.distinct("model", references, "give each a name or a version of its own")
    for index, golden in enumerate(table.golden):
        rules.golden(golden, f"golden[{index}]", table.model)
    for index, smoke in enumerate(table.smoke):
        rules.in_range(smoke.exit, f"smoke[{index}].exit", 0, 255)
        if smoke.stdout is not None:
            rules.expression(smoke.stdout, f"smoke[{index}].stdout")
    rules.engines(table)


class _Rules:
    def __init__(self, where: str) -> None:
        self.where = where

    def fail(self, key: str, cause: str, remedy: str) -> NoReturn:
        raise invalid(self.where, key, cause, remedy)

    def node(self, value: str, key: str, read: Callable[[Node], str], remedy: str) -> None:
        try:
            read(Node(value, key))
        except StrictJsonError as error:
            self.fail(key, error.message, remedy)

    def distinct(self, key: str, names: Sequence[str], remedy: str) -> None:
        for index, name in enumerate(names):
            if name in names[:index]:
                self.fail(key, f"'{name}' appears twice", remedy)

    def in_range(self, value: int, key: str, low: int, high: int) -> None:
        if not low <= value <= high:
            self.fail(key, f"{value} is not between {low} and {high}", "correct the number")

    def expression(self, value: str, key: str) -> None:
        try:
            re.compile(value)
        except (re.error, RecursionError, OverflowError) as error:
            self.fail(key, f"is not a regular expression: {error}", "write it as Python's re.search takes it")

    def app(self, app: AppTable) -> None:
        self.node(app.name, "app.name", lambda n: n.text(bill.APP_NAME, bill.APP_NAME_IS), "write it as in 'digits'")
        self.node(
            app.version,
            "app.version",
            lambda n: n.text(bill.VERSION, bill.VERSION_IS, bill.MAX_VERSION),
            "write it as in '1.0.0'",
        )
        if not app.module:
            self.fail("app.module", "is empty", "write the path of the guest's .wasm file")
        self.in_range(app.threads, "app.threads", 0, 1024)
        if app.memory is not None:
            self.in_range(app.memory, "app.memory", 1, 2**53 - 1)
        if app.timeout is not None:
            try:
                seconds(app.timeout)
            except ValueError as error:
                self.fail("app.timeout", str(error), "write it as in '60s', '5m' or '250ms'")
        for index, argument in enumerate(app.args):
            self.node(argument, f"app.args[{index}]", lambda n: n.text(), "write it without NUL, below 4096 characters")
        self.environment(app)

    def engines(self, table: ProjectTable) -> None:
        for name, version in (("wasmtime", table.engines.wasmtime), ("litert", table.engines.litert)):
            if version is None:
                continue
            self.node(version, f"engines.{name}", bill.engine_version, "write it as lading engines lists it")
            if table.app.runtime != "lading":
                self.fail(
                    f"engines.{name}",
                    f"the app runs on {table.app.runtime}, which brings engines of its own",
                    "remove [engines], or app.runtime",
                )

    def environment(self, app: AppTable) -> None:
        names = []
        for name, value in app.env.items():
            key = f"app.env.{name}"
            if name == FROM_DEVICE:
                if not isinstance(value, list):
                    self.fail(key, "is not a list of names", f'Write it as in {FROM_DEVICE} = ["TOKEN"].')
                names += value
                continue
            if not isinstance(value, str):
                self.fail(key, "is a list, not text", f"lists belong to '{FROM_DEVICE}' alone")
            self.node(value, key, lambda n: n.text(), "write it without NUL, below 4096 characters")
            names.append(name)
        for name in names:
            self.node(
                name,
                f"app.env.{name}",
                lambda n: n.text(bill.ENV_NAME, "the name of an environment variable"),
                "write letters, digits and '_'",
            )
        self.distinct("app.env", names, "A variable has a value here or on the device, not both.")

    def model(self, model: ModelTable, key: str) -> None:
        self.node(
            model.name,
            f"{key}.name",
            lambda n: n.text(bill.MODEL_NAME, bill.MODEL_NAME_IS),
            "write it as in 'digits'; the version has a key of its own",
        )
        self.node(
            model.version,
            f"{key}.version",
            lambda n: n.text(bill.MODEL_VERSION, "a model version"),
            "write it as in '1.0.0'",
        )
        if not model.path:
            self.fail(f"{key}.path", "is empty", "write the path of the model's file")
        inputs = list(model.state.values())
        self.distinct(f"{key}.state", inputs, "each input is fed by one output")

    def golden(self, golden: GoldenTable, key: str, models: Sequence[ModelTable]) -> None:
        try:
            find_model(models, golden.model)
        except LookupError as error:
            cause, remedy = error.args
            self.fail(f"{key}.model", cause, remedy)
        for part, tensors in (("inputs", golden.inputs), ("outputs", golden.outputs)):
            if not tensors:
                self.fail(f"{key}.{part}", "is empty", 'Write it as in { "x" = "golden/x.npy" }.')
        self.in_range(golden.tolerance, f"{key}.tolerance", 0, 2**31)
        for name, value in (("atol", golden.atol), ("rtol", golden.rtol)):
            if not 0 <= value <= 1e30:
                self.fail(f"{key}.{name}", f"{value} is not between 0 and 1e30", "correct the number")
