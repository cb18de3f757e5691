"""What the check said of a release on the device's own runtimes: sent with a push, kept beside the release, obeyed by
every run, also those that nobody watches.

The check itself works on the client, which knows the firmware profiles; a verdict is about one version of a runtime.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Dict, Final, List, Optional

from lading_agent.errors import AgentError
from lading_agent.serve.runtimes import acted, require
from lading_agent.store.durable import replace_json

if TYPE_CHECKING:
    from pathlib import Path

    from lading_agent.runs.program import Program
    from lading_agent.serve.device import Served
    from lading_agent.store.releases import Release

SCHEMA: Final = 1
MOST_JUDGED: Final = 16


def judged_of(raw: Any) -> List[Dict[str, Any]]:
    """The verdicts that a client sent with a push.

    Raises:
        AgentError: ``usage``: they are not verdicts.
    """
    if raw is None:
        return []
    if not isinstance(raw, list) or len(raw) > MOST_JUDGED:
        raise AgentError("usage", f"'judged' is not a list of at most {MOST_JUDGED}", "update lading on both sides")
    found = []
    for item in raw:
        known = item if isinstance(item, dict) else {}
        texts = {key: known.get(key) for key in ("runtime", "version", "said", "remedy")}
        if not all(isinstance(v, str) for v in texts.values()) or not isinstance(known.get("passes"), bool):
            raise AgentError("usage", "'judged' has an entry that is no verdict", "update lading on both sides")
        found.append({**texts, "passes": known["passes"], "unknown": known.get("unknown") is True})
    return found


def read_judged(served: Served, app: str, release_id: str) -> List[Dict[str, Any]]:
    """What the check said of a release on the device's runtimes, when it was pushed."""
    try:
        return judged_of(json.loads(_path(served, app, release_id).read_bytes())["judged"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError, AgentError):
        return []


def keep_judged(served: Served, app: str, release_id: str, judged: List[Dict[str, Any]]) -> None:
    """Write down what the check said; what it said of other runtimes before stays."""
    if not judged:
        return
    before = read_judged(served, app, release_id)
    new = {item["runtime"] for item in judged}
    merged = [item for item in before if item["runtime"] not in new] + judged
    if merged != before:
        doc = {"schema": SCHEMA, "judged": merged}
        replace_json(_path(served, app, release_id), doc, served.layout.scratch())


def refuse_unjudged(program: Program, judged: List[Dict[str, Any]], app: str, *, allow_unknown: bool) -> None:
    """Let an app run on a runtime only if the check passed it there, for the release that is installed.

    Args:
        program: the runtime.
        judged: what the check said.
        app: for messages.
        allow_unknown: run also what nobody has judged; never what was judged to fail.

    Raises:
        AgentError: ``check-refused``.
    """
    found = next((item for item in judged if item["runtime"] == program.name), None)
    if found is not None and found["version"] == program.version:
        if found["passes"] or (found["unknown"] and allow_unknown):
            return
        remedy = found["remedy"]
        if found["unknown"]:
            remedy = f"{remedy}; or run it all the same with --allow-unknown".lstrip("; ")
        raise AgentError("check-refused", f"the check says of {app}: {found['said']}", remedy)
    if allow_unknown:
        return
    why = (
        f"the check knows {app} on {program.name} {found['version'] or 'of an unknown version'} only, "
        f"the device now has {program.version or 'an unknown version'}"
        if found is not None
        else f"nothing has checked {app} against {program.title}"
    )
    raise AgentError(
        "check-refused", why, "deploy it again, which checks it, or run it all the same with --allow-unknown"
    )


def chosen(
    served: Served, release: Release, own: str, asked: Optional[str], *, allow_unknown: bool
) -> Optional[Program]:
    """The runtime that is to run a release; None where one of lading's hosts does.

    Args:
        served: the device.
        release: the release.
        own: the runtime that its bill names.
        asked: another one that the request names.
        allow_unknown: also where nothing is known of the app there.

    Raises:
        AgentError: ``check-refused``: it is not there, or the check does not pass the app on it.
    """
    name = asked or release.runtime or own
    if acted(served, name):
        return None
    program = require(served, name)
    judged = read_judged(served, release.app, release.id)
    refuse_unjudged(program, judged, release.app, allow_unknown=allow_unknown)
    return program


def _path(served: Served, app: str, release_id: str) -> Path:
    return served.layout.release(app, release_id) / "judged.json"
