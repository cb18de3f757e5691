"""``lading probe``: find out what a device can do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lading.cli.answer import Answer, verb
from lading.cli.options import DeviceArgument, Json
from lading.cli.screen import Screen
from lading.units import format_size

if TYPE_CHECKING:
    from lading.probe.prober import Probed

EPILOG = "Example:  lading probe emulated://raspberry-pi-4b?firmware=wasmedge-0.17"

Force = Annotated[bool, typer.Option("--force", help="Replace a firmware profile of that name that is there.")]

Unsafe = Annotated[bool, typer.Option("--unsafe", help="Also try what is known, or suspected, to crash some runtimes.")]


@verb("capabilities")
def probe(
    device: DeviceArgument,
    unsafe: Unsafe = False,
    runtime: Annotated[
        str | None,
        typer.Option("--runtime", metavar="NAME", help="Measure this runtime of the device's own: wasmedge, iwasm, …"),
    ] = None,
    webnn: Annotated[bool, typer.Option("--webnn", help="In the shape of WebNN's opSupportLimits().")] = False,
    save: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE", help="Make a firmware profile of it: a NAME in your own folder, or a FILE.toml."
        ),
    ] = None,
    force: Force = False,
    as_json: Json = False,
) -> Answer:
    """Find out what a device can do: facts in one round trip, then small guests on its own runtime.

    Every entry of the report says how it is known: measured, declared or inferred.

    With --runtime the guests run on a runtime that the device has besides lading's, and the device remembers which
    firmware profile it turned out to have: the check of apps for that runtime goes by it from then on.
    """
    from lading.probe.report import report
    from lading.probe.webnn import op_support_limits

    screen = Screen(as_json=as_json)
    path = profile_path(save, force=force) if save is not None else None
    probed = probe_device(device, screen, unsafe=unsafe, runtime=runtime)
    saved = save_profile(probed, path) if path is not None else None
    if webnn:
        limits = op_support_limits(probed)
        return Answer({"schema": "lading.webnn/1", **limits}, lambda shown: _show_webnn(shown, limits))
    document = report(probed)
    if runtime is None:
        _keep_report(device, document, screen)
    if saved is not None:
        document["saved"] = saved

    def render(shown: Screen) -> None:
        _show(shown, document)
        if saved is not None:
            say_saved(shown, saved)

    return Answer(document, render)


def _keep_report(device: str, document: dict[str, Any], screen: Screen) -> None:
    """What was found out stays with the device: ``lading device show`` shows it."""
    import time

    from lading.devices import reports, resolve
    from lading.devices.address import Ssh

    found = resolve(device)
    if isinstance(found.address, Ssh):
        from lading.links import aes

        aes.note(found.address, {"cpu": (document["facts"].get("cpu") or {}).get("value")})
    try:
        reports.keep(found, document, at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    except OSError as error:
        screen.note(f"the report could not be kept: {error.strerror or error}")


def probe_device(device: str, screen: Screen, *, unsafe: bool, runtime: str | None = None) -> Probed:
    """Probe the device of an address or name, with a line of progress where somebody looks."""
    from lading.client import connect
    from lading.devices import resolve
    from lading.probe.prober import probe as run_probe

    found = resolve(device)
    with connect(found) as session, Dots(screen, "probing") as dots:
        return run_probe(
            session,
            str(found),
            unsafe=unsafe,
            installed=runtime,
            project=Path.cwd(),
            progress=dots.progress,
            skipped=screen.skipped,
        )


class Dots:
    """How many guests have ended, on one line of a terminal."""

    def __init__(self, screen: Screen, word: str) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        self._bar = (
            Progress(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=screen.err, transient=True
            )
            if screen.watched
            else None
        )
        self._task = self._bar.add_task(word, total=None) if self._bar is not None else None

    def __enter__(self) -> Dots:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def progress(self, done: int, total: int) -> None:
        """Called from any thread."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=total)


def profile_path(name: str, *, force: bool) -> Path:
    """Where a firmware profile of the user's own goes; looked at before anything is probed.

    Args:
        name: an id, for the user's own folder; or a file, which has a folder in front or ends with ``.toml``.
        force: a file that is there may be replaced.

    Raises:
        UsageError: it cannot be a name, or there is something of that name.
    """
    from lading import datafiles
    from lading.errors import UsageError

    a_file = "/" in name or name.endswith(".toml")
    path = Path(name) if a_file else datafiles.user_config_dir() / "firmware_profiles" / f"{name}.toml"
    if path.suffix != ".toml" or not datafiles.ID.fullmatch(path.stem):
        raise UsageError(
            f"{name!r} cannot be the name of a firmware profile",
            remedy="letters, digits, '.', '_' and '-', starting with a letter or digit, at most 63; "
            "a file ends with .toml",
        )
    if a_file and not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}", remedy="make it first, or choose another")
    if path.is_dir() or (path.exists() and not force):
        raise UsageError(
            f"{path} exists already",
            remedy="choose another name" + ("" if path.is_dir() else ", or replace it with --force"),
        )
    return path


def save_profile(probed: Probed, path: Path) -> dict[str, Any]:
    """Write a firmware profile of a probe; what it is and where it is, for documents."""
    from lading.probe.save import save

    left = save(probed, path.stem, path, Path.cwd())
    assert probed.nearest is not None
    return {
        "profile": path.stem,
        "file": str(path),
        "extends": probed.nearest.profile,
        "unexplained": [d.to_json() for d in left],
    }


def say_saved(screen: Screen, saved: dict[str, Any]) -> None:
    """Say where a profile went and what it leaves open."""
    screen.say(f"firmware profile {saved['profile']} written to {saved['file']}, extending {saved['extends']}")
    if saved["unexplained"]:
        screen.say(
            f"{len(saved['unexplained'])} items are not explained by it: see x-unexplained there", style="yellow"
        )


def _show(screen: Screen, document: dict[str, Any]) -> None:
    screen.say(str(document["device"]), style="bold")
    screen.table(
        ["fact", "value", "known by", "from"],
        [[k, _brief(k, e["value"]), e["known_by"], e["evidence"]] for k, e in document["facts"].items()],
    )
    for part in ("structural", "soft", "vendor"):
        rows = [
            [k.replace("_", " "), _brief(k, e["value"]), e["known_by"], e["evidence"]]
            for k, e in document[part].items()
            if k not in ("inputs", "errors")
        ]
        if rows:
            screen.table([part, "value", "known by", "from"], rows)
    if "errors" in document["soft"]:
        _show_inputs(screen, document)
        errors = document["soft"]["errors"]
        names = {v: k for k, v in document["soft"].get("errno_names", {"value": {}})["value"].items()}
        screen.table(
            ["situation", "answer", "known by"],
            [[k, _answer(v, names), errors["known_by"]] for k, v in errors["value"].items()],
        )
    _show_profile(screen, document)


def _show_inputs(screen: Screen, document: dict[str, Any]) -> None:
    """One row a tensor type, one column a type code; a cell says how the tensor's own data and f32 data pass."""
    inputs = document["soft"]["inputs"]["value"]
    codes = sorted({int(c) for codes in inputs.values() for c in codes})
    rows = []
    for name, by_code in inputs.items():
        cells = []
        for code in codes:
            forms = by_code.get(str(code), {})
            ways = [_way(f) for f in forms.values()]
            cells.append("/".join(ways if len(set(ways)) > 1 else ways[:1]) or "–")
        rows.append([name, *cells])
    screen.table(["input", *map(str, codes)], rows, title="inputs by type code: data of the tensor's own type / as f32")


def _way(form: dict[str, Any]) -> str:
    return str(form.get("how") or form["answer"])


def _show_profile(screen: Screen, document: dict[str, Any]) -> None:
    profile = document["profile"]
    ran = document["probe"]
    if not ran["guests"]:
        measured = any(fact["known_by"] == "measured" for fact in document["facts"].values())
        beside = "everything but the facts" if measured else "everything"
        said = (
            f"{profile['declared']} runs no guests: {beside} above is declared by its firmware profile and target"
            if profile["declared"]
            else "no guests were run, and no firmware profile was named: give one with ?firmware=NAME in the address"
        )
        screen.say(said, style="yellow")
        return
    screen.say(f"{ran['guests']} guests, {ran['items']} items, {ran['round_trips']} round trips; {ran['runtime']}")
    if profile["fits"]:
        screen.say(f"firmware profile that fits: {', '.join(profile['fits'])}", style="green")
    elif profile["nearest"]:
        screen.say(
            f"no firmware profile fits; nearest: {profile['nearest']}, "
            f"{len(profile['differences'])} of {profile['compared']} items differ",
            style="yellow",
        )
        screen.table(
            ["item", "call", "profile", "device"],
            [[d["item"], d["call"], d["expected"], d["actual"]] for d in profile["differences"]],
        )
    if ran["remembered"]:
        screen.say(f"from now on the device takes its {ran['installed']} for {ran['remembered']}", style="green")
    elif ran["installed"] and not document["emulated"]:
        screen.say(
            f"apps for {ran['installed']} are judged by what it says its version is; where no firmware profile stands "
            "for that, with --allow-unknown only (or save what was measured: --save NAME, then probe again)",
            style="yellow",
        )
    if not ran["unsafe"]:
        screen.say("limits and what may crash a runtime were not tried: --unsafe does", style="dim")


def _show_webnn(screen: Screen, limits: dict[str, Any]) -> None:
    screen.say(f"preferred input layout {limits['preferredInputLayout']}")
    screen.say(f"largest tensor {format_size(limits['maxTensorByteLength'])}")
    rows = []
    for name, value in limits.items():
        operand = value if isinstance(value, dict) and "dataTypes" in value else None
        if isinstance(value, dict) and operand is None:
            operand = value.get("input")
        if operand is not None:
            rows.append([name, ", ".join(operand["dataTypes"]) or "not supported"])
    screen.table(["operand or operator", "data types"], rows)


def _answer(value: Any, names: dict[int, str]) -> str:
    if value == 0:
        return "success"
    if isinstance(value, int):
        return f"{names[value]} ({value})" if value in names else f"errno {value}"
    return "not tried" if value is None else str(value)


def _brief(key: str, value: object) -> str:
    """A value on one line."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and key.endswith("_bytes"):
        return format_size(value)
    if isinstance(value, dict):
        parts = [f"{k} {_brief(k, v)}" for k, v in value.items() if v not in (None, "", [], {})]
        return ", ".join(parts) or "–"
    if isinstance(value, list | tuple):
        return ", ".join(_brief(key, v) for v in value[:24]) + (" …" if len(value) > 24 else "") or "none"
    return "–" if value in (None, "") else str(value)
