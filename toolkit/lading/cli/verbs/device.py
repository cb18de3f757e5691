"""``lading device``: the names of devices, and what lading keeps of each."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lading.cli.answer import Answer, verb
from lading.cli.options import DeviceArgument, Json
from lading.cli.screen import Screen
from lading.cli.streams import visible

if TYPE_CHECKING:
    from lading.devices.registry import Entry, Registry

ADD_EPILOG = "Example:  lading device add kitchen ssh://pi@kitchen.local"
LIST_EPILOG = "Example:  lading device list"
SHOW_EPILOG = "Example:  lading device show kitchen"
REMOVE_EPILOG = "Example:  lading device remove kitchen --purge"
ROLLBACK_EPILOG = "Example:  lading device rollback-agent kitchen"
REKEY_EPILOG = "Example:  lading device rekey kitchen --fingerprint SHA256:…"

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The device's name in devices.toml.")]
Fingerprint = Annotated[
    str | None,
    typer.Option(metavar="SHA256:…", help="Its host key, as ssh-keygen -l shows it on the device."),
]


@verb("device-add")
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is called from now on.")],
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Where it is: ssh://pi@kitchen.local")],
    fingerprint: Fingerprint = None,
    no_contact: Annotated[bool, typer.Option("--no-contact", help="Write it down without trying it.")] = False,
    user: Annotated[bool, typer.Option("--user", help="Into your own devices.toml, also within a project.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a device of that name.")] = False,
    set_up: Annotated[
        bool, typer.Option("--set-up", help="Bring the agent and its engines right away, not with the first deploy.")
    ] = False,
    engines_from: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Set it up right away, with the engines' wheels from this folder."),
    ] = None,
    as_json: Json = False,
) -> Answer:
    """Give a device a name in devices.toml.

    A device over SSH is tried: its host key is looked at, you are let in, and a command starts. A host key that
    your known_hosts has is taken as it is; any other is taken when you confirm it on a terminal, or give its
    fingerprint. From then on the device has to show that key.
    """
    from lading.devices import enrol
    from lading.errors import UsageError

    set_up = set_up or engines_from is not None
    if set_up and no_contact:
        raise UsageError("a device cannot be set up without contact", remedy="leave --no-contact out")
    if engines_from is not None:
        from lading.bootstrap.cargo import use_engines_from

        use_engines_from(engines_from)
    screen = Screen(as_json=as_json)
    here = Path.cwd()
    made = enrol.add(
        name,
        address,
        file=enrol.file_for(here, user=user),
        project_dir=here,
        confirm=lambda key: _agreed(screen, [f"{address} shows the host key", f"  {key}"], key),
        fingerprint=fingerprint,
        contact=not no_contact,
        replace=force,
    )
    agent = _set_up(made.name, here) if set_up else None

    def render(shown: Screen) -> None:
        shown.say(f"{made.name} is {made.address} ({made.file})")
        if agent is not None:
            shown.say(f"it is set up, with the agent {agent}")
        if made.host_key is not None:
            shown.say(f"it has to show the host key {made.host_key}", style="dim")
        elif made.address.startswith("ssh"):
            shown.say("its host key is not written down: known_hosts decides", style="dim")

    document = {
        "name": made.name,
        "address": made.address,
        "file": str(made.file),
        "host_key": made.host_key,
        "contacted": made.contacted,
        "agent": agent,
    }
    return Answer(document, render)


def _set_up(name: str, here: Path) -> str:
    """Bring what the device lacks; the version of its agent."""
    from lading.client import connect
    from lading.devices import resolve

    with connect(resolve(f"device:{name}", here)) as session:
        return session.hello.agent_version


@verb("device-list")
def list_(as_json: Json = False) -> Answer:
    """List the devices and groups that have names: the project's, then your own."""
    from lading.devices import registry

    known = registry.load(Path.cwd())
    devices = [_described(entry, known) for _, entry in sorted(known.devices.items())]
    groups = [
        {"name": group.name, "devices": list(group.members), "file": str(group.file)}
        for _, group in sorted(known.groups.items())
    ]

    def render(screen: Screen) -> None:
        if not devices and not groups:
            screen.say("no device has a name yet: lading device add NAME ssh://…")
            return
        screen.table(
            ["device", "address", "probed", "profile", "groups"],
            [
                [d["name"], d["address"], d["probed_at"] or "–", d["profile"] or "–", ", ".join(d["groups"]) or "–"]
                for d in devices
            ],
        )
        if groups:
            screen.table(["group", "devices"], [[str(g["name"]), ", ".join(g["devices"])] for g in groups])

    return Answer({"devices": devices, "groups": groups}, render)


@verb("device-show")
def show(name: NameArgument, as_json: Json = False) -> Answer:
    """Show one device: address, host key, groups, and what the last probe found out."""
    from lading.devices import enrol, registry, reports, resolve

    here = Path.cwd()
    entry = enrol.named(name, here)
    described = _described(entry, registry.load(here))
    kept = reports.last(resolve(f"device:{entry.name}", here))
    report = kept[1] if kept is not None else None

    def render(screen: Screen) -> None:
        screen.say(entry.name, style="bold")
        rows = [
            ["address", described["address"]],
            ["host key", described["host_key"] or "–"],
            ["groups", ", ".join(described["groups"]) or "–"],
            ["file", described["file"]],
            ["probed", described["probed_at"] or f"never: lading probe {entry.name}"],
            ["profile", described["profile"] or "–"],
        ]
        screen.table(["", ""], rows)
        if report is not None:
            screen.table(["fact", "value", "known by"], _facts(report))

    return Answer({"device": described, "report": report}, render)


@verb("device-remove")
def remove(
    name: NameArgument,
    purge: Annotated[
        bool, typer.Option("--purge", help="First take everything of lading's off the device: agent, apps, state.")
    ] = False,
    as_json: Json = False,
) -> Answer:
    """Take a device's name out of devices.toml; with --purge, lading off the device as well."""
    from lading.devices import EmulatedDevice, enrol, registry, reports, resolve
    from lading.errors import UsageError

    here = Path.cwd()
    entry = enrol.named(name, here)
    known = registry.load(here)
    inside = [group for group in known.groups.values() if entry.name in group.members]
    if inside:
        raise UsageError(
            f"{entry.name} is a member of {', '.join(group.name for group in inside)} ({inside[0].file})",
            remedy=f"take it out first: lading device group {inside[0].name} {entry.name} --remove",
        )
    device = resolve(f"device:{entry.name}", here)
    if purge and isinstance(device, EmulatedDevice):
        raise UsageError(
            f"{entry.name} is emulated: all that it holds is in {device.state}", remedy="delete that folder instead"
        )
    purged: dict[str, Any] | None = None
    if purge:
        from lading.bootstrap import purge as purge_device
        from lading.client.connect import open_device_host

        with open_device_host(device) as host:
            done = purge_device(host, getattr(device.address, "home", None))
        purged = {"found": done.found, "removed": done.removed, "left": list(done.left), "notes": list(done.notes)}
        reports.forget(device)
    # A device that could not be cleaned keeps its name: it is still needed.
    clean = purged is None or bool(purged["removed"])
    removed = clean and registry.drop(entry.file, entry.name)

    def render(screen: Screen) -> None:
        if purged is not None:
            what = "all that was lading's is off" if purged["found"] else "nothing of lading's was on"
            screen.say(f"{what} the device" if clean else "the device could not be cleaned wholly")
            for line in (*(f"left: {item}" for item in purged["left"]), *purged["notes"]):
                screen.say(line, style="yellow")
        if removed:
            screen.say(f"{entry.name} is taken out of {entry.file}")

    document = {"name": entry.name, "file": str(entry.file), "removed": removed, "purged": purged}
    return Answer(document, render, status=0 if clean else 1)


@verb("device-rekey")
def rekey(name: NameArgument, fingerprint: Fingerprint = None, as_json: Json = False) -> Answer:
    """Take the host key that a device shows now, in place of the one before.

    Both are shown, and you are asked on a terminal; elsewhere the new one's fingerprint has to be given. Do it only
    when you know why the key changed, such as a system that was installed anew.
    """
    from lading.devices import enrol

    screen = Screen(as_json=as_json)
    made, before = enrol.rekey(
        name,
        project_dir=Path.cwd(),
        confirm=lambda old, new: _agreed(
            screen, [f"{name} had the host key", f"  {old}", "and now shows", f"  {new}"], new
        ),
        fingerprint=fingerprint,
    )

    def render(shown: Screen) -> None:
        shown.say(f"before  {before or '–'}")
        shown.say(f"now     {made.host_key}")
        shown.say(f"{made.name} has to show the key that it has now ({made.file})")

    document = {
        "name": made.name,
        "address": made.address,
        "file": str(made.file),
        "host_key": made.host_key,
        "before": before,
        "changed": before != made.host_key,
    }
    return Answer(document, render)


@verb("device-rollback-agent")
def rollback_agent(
    device: DeviceArgument,
    engines: Annotated[
        bool, typer.Option("--engines", help="The runner and its engines, not the agent: the set from before.")
    ] = False,
    as_json: Json = False,
) -> Answer:
    """Go back to the agent that a device had before this one; with --engines, to the engines from before.

    The agent is what services, watchers and detached runs start with. A lading always talks to the agent of its own
    version, so a verb of another version brings its own again. Going back once more undoes it.
    """
    from lading.devices import EmulatedDevice, resolve
    from lading.errors import UsageError

    found = resolve(device)
    if isinstance(found, EmulatedDevice):
        raise UsageError(f"{found} is emulated: its agent is this lading", remedy="name a board")
    document: dict[str, Any] = {"device": str(found), "agent": None, "engines": None}
    if engines:
        from lading.client import connect

        with connect(found) as session:
            parts = session.roll_back_engines().get("current") or []
        document["engines"] = {str(part["name"]): str(part["version"]) for part in parts}
    else:
        from lading.bootstrap import roll_back
        from lading.client.connect import open_device_host

        with open_device_host(found) as host:
            document["agent"] = roll_back(host, getattr(found.address, "home", None))

    def render(screen: Screen) -> None:
        if engines:
            named = ", ".join(f"{name} {version}" for name, version in document["engines"].items())
            screen.say(f"guests run on the engines from before now: {named}")
        else:
            screen.say(f"what the device starts by itself uses the agent from before now: {document['agent']}")

    return Answer(document, render)


def _agreed(screen: Screen, lines: list[str], key: str) -> bool:
    """Whether the user agrees to a host key; without a terminal nobody does."""
    from lading.links.secrets import on_terminal

    if not on_terminal():
        return False
    for line in lines:
        screen.note(line, style="")
    screen.note("compare it with what ssh-keygen -lf says of /etc/ssh/ssh_host_*_key.pub on the device")
    sys.stderr.write(visible("Is it the device's own? Type 'yes' or its fingerprint: "))
    sys.stderr.flush()
    answer = sys.stdin.readline().strip()
    return answer == "yes" or answer == key.rpartition(" ")[2]


def _described(entry: Entry, known: Registry) -> dict[str, Any]:
    """A device as it stands in documents."""
    from lading.devices import reports, resolve
    from lading.errors import LadingError

    kept: tuple[str, dict[str, Any]] | None = None
    try:
        kept = reports.last(resolve(f"device:{entry.name}", Path.cwd()))
    except LadingError:  # a target or profile that is gone: the list is there to see it
        kept = None
    profile = kept[1].get("profile") if kept is not None else None
    return {
        "name": entry.name,
        "address": str(entry.address),
        "host_key": entry.host_key,
        "file": str(entry.file),
        "groups": sorted(group.name for group in known.groups.values() if entry.name in group.members),
        "probed_at": kept[0] if kept is not None else None,
        "profile": (profile.get("nearest") or profile.get("declared")) if isinstance(profile, dict) else None,
    }


def _facts(report: dict[str, Any]) -> list[list[str]]:
    rows = []
    facts = report.get("facts")
    for key, entry in facts.items() if isinstance(facts, dict) else ():
        value = entry.get("value") if isinstance(entry, dict) else entry
        if isinstance(value, dict):
            value = ", ".join(f"{k} {v}" for k, v in value.items() if v not in (None, "", [], {}))
        elif isinstance(value, list):
            value = ", ".join(str(v) for v in value[:24])
        rows.append(
            [str(key), _cut(str(value or "–")), str(entry.get("known_by", "")) if isinstance(entry, dict) else ""]
        )
    return rows


def _cut(text: str, most: int = 100) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
