"""``lading profiles``: firmware profiles, what they say and how they differ."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lading.cli.answer import Answer, verb
from lading.cli.options import Json
from lading.cli.screen import Screen

if TYPE_CHECKING:
    from lading.profiles import FirmwareProfile

LIST_EPILOG = "Example:  lading profiles list"
SHOW_EPILOG = "Example:  lading profiles show wasmedge-0.17"
DIFF_EPILOG = "Example:  lading profiles diff wasmedge-0.17 wamr-2.4"
NEW_EPILOG = "Example:  lading profiles new my-board --from emulated://raspberry-pi-4b?firmware=wamr-2.4 --unsafe"
VALIDATE_EPILOG = "Example:  lading profiles validate firmware_profiles/*.toml"

NameArgument = Annotated[str, typer.Argument(metavar="PROFILE", help="An id, or a unique prefix of one.")]


@verb("profiles-list")
def list_(as_json: Json = False) -> Answer:
    """List the firmware profiles that can be found: the project's own, the user's, the shipped ones."""
    from lading import profiles

    origins = {file.id: file.origin for file in profiles.files(Path.cwd()).values()}
    found = profiles.load_all(Path.cwd(), skipped=Screen(as_json=as_json).skipped)

    def render(screen: Screen) -> None:
        rows = [
            [
                id_,
                _runtime(p),
                p.wasi_nn.replace("wit-", "wit ", 1),
                p.provenance.known_by,
                "yes" if p.runs_guests else "no",
                origins[id_],
            ]
            for id_, p in found.items()
        ]
        columns = ["profile", "runtime", "wasi-nn", "known by", "emulated", "from"]
        if set(origins.values()) == {"shipped"}:  # says nothing then
            columns, rows = columns[:-1], [row[:-1] for row in rows]
        screen.table(columns, rows)

    document = [
        {
            "id": id_,
            "title": p.title,
            "summary": p.summary,
            "runtime": p.runtime.name,
            "release": p.runtime.release,
            "tflite": p.runtime.tflite,
            "wasi_nn": p.wasi_nn,
            "known_by": p.provenance.known_by,
            "emulated": p.runs_guests,
            "origin": origins[id_],
        }
        for id_, p in found.items()
    ]
    return Answer({"profiles": document}, render)


@verb("profiles-show")
def show(profile: NameArgument, as_json: Json = False) -> Answer:
    """Show one firmware profile: numbering, functions with every check and its errno, limits, known crashes."""
    from lading import profiles

    found = profiles.find(profile, Path.cwd())
    return Answer({"profile": found.resolved()}, lambda screen: _show(screen, found))


@verb("profiles-diff")
def diff(
    left: Annotated[str, typer.Argument(metavar="A", help="A firmware profile.")],
    right: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    as_json: Json = False,
) -> Answer:
    """Show what two firmwares do differently, key by key and step by step."""
    from lading import profiles

    a, b = profiles.find(left, Path.cwd()), profiles.find(right, Path.cwd())
    found = profiles.differences(a, b)

    def render(screen: Screen) -> None:
        if not found:
            screen.say(f"{a.id} and {b.id} behave alike")
            return
        screen.stacked(["key", a.id, b.id], [[d.key, _cell(d.left), _cell(d.right)] for d in found])

    document = [{"key": d.key, "left": d.left, "right": d.right} for d in found]
    return Answer({"left": a.id, "right": b.id, "differences": document}, render)


@verb("profiles-validate")
def validate(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Firmware profiles (TOML).")],
    as_json: Json = False,
) -> Answer:
    """Check firmware profile files; what is wrong is named with file, key and remedy. Exit status 2 if one is wrong."""
    from lading import profiles
    from lading.errors import DataFileError

    checked: list[dict[str, Any]] = []
    for path in files:
        try:
            profiles.load_file(path, Path.cwd())
        except DataFileError as error:
            checked.append({"file": str(path), "valid": False, "error": error.to_json()})
        else:
            checked.append({"file": str(path), "valid": True, "error": None})

    def render(screen: Screen) -> None:
        for entry in checked:
            if entry["valid"]:
                screen.say(f"{entry['file']}: valid", style="green")
            else:
                screen.say(entry["error"]["message"], style="red")
                screen.say(f"  remedy: {entry['error']['remedy']}")

    wrong = any(not entry["valid"] for entry in checked)
    return Answer({"files": checked}, render, DataFileError.exit_status if wrong else 0)


@verb("profiles-new")
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new profile's id.")],
    device: Annotated[str, typer.Option("--from", metavar="DEVICE", help="The device that is probed for it.")],
    unsafe: Annotated[
        bool, typer.Option("--unsafe", help="Also try what is known, or suspected, to crash some runtimes.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace one of that name that is there.")] = False,
    as_json: Json = False,
) -> Answer:
    """Make a firmware profile, in your own folder, of what a probe of a device measures."""
    from lading.cli.verbs.probe import probe_device, profile_path, save_profile, say_saved

    path = profile_path(name, force=force)
    saved = save_profile(probe_device(device, Screen(as_json=as_json), unsafe=unsafe), path)
    return Answer(saved, lambda screen: say_saved(screen, saved))


def _runtime(profile: FirmwareProfile) -> str:
    return f"{profile.runtime.name} {profile.runtime.release}"


def _cell(value: Any) -> str:
    return "–" if value is None else str(value)


def _show(screen: Screen, profile: FirmwareProfile) -> None:
    screen.say(f"{profile.id}: {profile.title}", style="bold")
    screen.say(profile.summary)
    known = profile.provenance
    rows = [
        ["runtime", _runtime(profile)],
        ["TFLite", profile.runtime.tflite or "none"],
        ["known by", known.known_by],
        ["source", known.source],
        ["recorded on", known.recorded_on or "–"],
        ["wasi-nn", profile.wasi_nn],
        ["WASI", profile.wasi_level],
        [
            "unknown import",
            "the module does not start" if profile.link.unknown_import == "refuse" else "traps if called",
        ],
        *([k.replace("_", " "), str(v)] for k, v in profile.resolved()["limits"].items()),
        *([k, str(v)] for k, v in profile.vendor.items()),
    ]
    if profile.wasm.features:
        rows.append(
            ["wasm features", ", ".join(f"{k} {'yes' if v else 'no'}" for k, v in profile.wasm.features.items())]
        )
    screen.table(["", ""], rows)
    _show_numbers(screen, profile)
    _show_tensors(screen, profile)
    _show_functions(screen, profile)
    for crash in profile.crashes:
        screen.say(f"known crash ({crash.outcome}): {crash.situation}", style="red")


def _show_numbers(screen: Screen, profile: FirmwareProfile) -> None:
    if profile.abi is None:
        screen.say("It hosts no core modules that import wasi-nn: guests cannot be run on it.", style="yellow")
        return
    screen.say(f"import module: {', '.join(profile.abi.modules)}")
    for title, numbers in (
        ("tensor types", profile.abi.tensor_types),
        ("encodings", profile.abi.encodings),
        ("targets", profile.abi.targets),
        ("errno", profile.abi.errno),
    ):
        screen.say(f"{title}: " + ", ".join(f"{n} {v}" for n, v in sorted(numbers.items(), key=lambda i: i[1])))


def _show_tensors(screen: Screen, profile: FirmwareProfile) -> None:
    from lading.profiles.compare import row

    document = profile.resolved()["tensors"]
    rows = [[side, str(i), row(rule)] for side in ("input", "output") for i, rule in enumerate(document[side])]
    if rows:
        screen.table(["tensors", "", "how they pass: the first that fits"], rows)
        screen.say(f"other inputs: {profile.tensors.otherwise}")
    if profile.operator_list:
        screen.say(f"operators: {', '.join(profile.operator_list)}")


def _show_functions(screen: Screen, profile: FirmwareProfile) -> None:
    from lading.profiles.compare import row

    for name, program in profile.functions.items():
        screen.table([name, ""], [[str(i), row(step)] for i, step in enumerate(program)])
