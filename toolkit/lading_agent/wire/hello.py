"""The hello: the first frame of either side, sent at once, without waiting for the other one's.

Its frame and its first members never change, so that any two versions can tell each other which of them is too old.
New abilities get a name in ``features``; a change that an older side could not live with gets a new major number.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, Mapping, Tuple

from lading_agent import PROTOCOL, __version__
from lading_agent.errors import AgentError
from lading_agent.wire.frames import MAX_FRAME

SCHEMA = 1
MINOR = 0

_KEYS = frozenset(
    ("schema", "role", "version", "protocol", "features", "limits", "python", "machine", "target", "profile", "client")
)


@dataclass(frozen=True)
class Hello:
    """Who speaks, and what he can do."""

    role: str
    """``agent`` or ``client``."""
    version: str = __version__
    protocol: Tuple[int, int] = (PROTOCOL, MINOR)
    """Major and minor version of the agent protocol."""
    features: Tuple[str, ...] = ()
    limits: Mapping[str, int] = field(default_factory=lambda: {"frame": MAX_FRAME})
    """``frame``: longest payload accepted; ``stdin``: bytes of standard input in flight; ``bill``: longest bill."""
    python: str = ""
    machine: str = ""
    target: Mapping[str, Any] = field(default_factory=dict)
    """The device's target in short: ``id``, ``name``, ``architecture``, ``memory_bytes``, ``run_memory_bytes``."""
    profile: Mapping[str, Any] = field(default_factory=dict)
    """The device's firmware profile in short: ``id``, ``name``."""
    client: Mapping[str, Any] = field(default_factory=dict)
    """A client's ``user``, ``host`` and ``pid``, for the lock."""

    @property
    def agent_version(self) -> str:
        """The version of an agent that says hello."""
        return self.version

    def to_json(self) -> Dict[str, Any]:
        """The hello as it stands on the wire."""
        doc: Dict[str, Any] = {
            "schema": SCHEMA,
            "role": self.role,
            "version": self.version,
            "protocol": {"major": self.protocol[0], "minor": self.protocol[1]},
            "features": list(self.features),
            "limits": dict(self.limits),
        }
        for key in ("python", "machine", "target", "profile", "client"):
            value = getattr(self, key)
            if value:
                doc[key] = dict(value) if isinstance(value, Mapping) else value
        return doc


def parse(doc: Mapping[str, Any], *, expect: str) -> Hello:
    """Read the other side's hello.

    Args:
        doc: the hello's object.
        expect: the role that it must have.

    Raises:
        AgentError: ``version-mismatch``; the message says which side to update.
    """
    version = doc.get("version")
    them = f"{expect} {version}" if isinstance(version, str) and len(version) < 64 else expect
    protocol = doc.get("protocol")
    major = _count(protocol, "major")
    minor = _count(protocol, "minor")
    schema = _count(doc, "schema")
    if min(major, minor, schema) < 0 or doc.get("role") != expect:
        raise AgentError("version-mismatch", f"the {them} says hello in a way that is not ours", _update_both())
    if major != PROTOCOL or schema > SCHEMA:
        what = f"protocol {major}" if major != PROTOCOL else f"hello schema {schema}"
        ours = PROTOCOL if major != PROTOCOL else SCHEMA
        newer = (major, schema) > (PROTOCOL, SCHEMA)
        raise AgentError(
            "version-mismatch",
            f"the {them} speaks {what}, this side ({__version__}) speaks {ours}",
            _update(older="client" if (expect == "agent") == newer else "agent"),
        )
    unknown = sorted(key for key in doc if key not in _KEYS and not key.startswith("x-"))
    if unknown:
        raise AgentError(
            "version-mismatch",
            f"the hello of the {them} has a key that is not known here: {unknown[0][:64]!r}",
            _update(older="client" if expect == "agent" else "agent"),
        )
    features = doc.get("features")
    limits = doc.get("limits")
    return Hello(
        role=expect,
        version=str(version),
        protocol=(major, minor),
        features=tuple(f for f in features if isinstance(f, str)) if isinstance(features, list) else (),
        limits={k: v for k, v in limits.items() if _is_count(v)} if isinstance(limits, Mapping) else {},
        python=_text(doc.get("python")),
        machine=_text(doc.get("machine")),
        target=_mapping(doc.get("target")),
        profile=_mapping(doc.get("profile")),
        client=_mapping(doc.get("client")),
    )


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def _count(doc: Any, key: str) -> int:
    """A count in an object; -1 when there is none."""
    value = doc.get(key) if isinstance(doc, Mapping) else None
    return int(value) if value is not None and _is_count(value) else -1


def _text(value: Any) -> str:
    return value[:256] if isinstance(value, str) else ""


def _mapping(value: Any) -> Dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def _update(older: str) -> str:
    if older == "client":
        return "update lading on this computer (pip install --upgrade lading)"
    return "update the agent on the device"


def _update_both() -> str:
    return "update lading on this computer and the agent on the device"
