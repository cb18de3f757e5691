"""A device's own runtime program: which command line runs a guest on it.

How a runtime is started is data: the table ``[command]`` of the firmware profiles that stand for its releases.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Final, List, Mapping, Tuple

from lading_agent.runs.words import fill

if TYPE_CHECKING:
    from lading_agent.runs.spec import ModelSpec, RunSpec

MODULE: Final = "guest.wasm"
"""What the module is called in the folder of links."""
PAGE: Final = 64 * 1024
MOST_MEMORY: Final = 65536 * PAGE
"""What a memory of a module can have at most."""
_RELEASE = re.compile(r"(\d{1,6}(?:\.\d{1,6}){0,3})(.*)", re.DOTALL)


@dataclass(frozen=True)
class Program:
    """A runtime on the device, and how it is started."""

    name: str
    """What ``lading.toml`` calls it: ``wasmedge``, ``iwasm``, ``wasmtime``."""
    path: str
    version: str
    """What it says of itself; empty where it says nothing that can be read."""
    command: Mapping[str, Any]
    """The table ``[command]``, resolved."""
    statuses: Mapping[str, int] = field(default_factory=dict)
    """The table ``[statuses]``: exit status by the way a guest ends."""
    links: str = ""
    """A folder for folders of links: each run starts in one, where its models have names."""
    hidden: Tuple[str, ...] = ()
    """Variables whose values are secrets: not written on the command line where the runtime can do without."""

    def to_json(self) -> Dict[str, Any]:
        """A JSON-ready document."""
        return asdict(self)

    @classmethod
    def from_json(cls, doc: Mapping[str, Any]) -> Program:
        """Read a document written by :meth:`to_json`."""
        return cls(**{**doc, "hidden": tuple(doc.get("hidden", ()))})

    @property
    def title(self) -> str:
        """Its name and version, for people."""
        return f"{self.name} {self.version}".rstrip()

    @property
    def protects(self) -> bool:
        """Whether it can keep a guest from writing to a directory that is read-only."""
        return bool(self.command.get("read_only_directory"))


@dataclass(frozen=True)
class Line:
    """A command line, ready to be started."""

    words: List[str]
    folder: Path
    """Where it starts."""
    environment: Dict[str, str]
    """Variables beside those of the agent."""


def covers(command: Mapping[str, Any], version: str) -> bool:
    """Whether a profile's ``[command]`` stands for that version: ``since`` ≤ version < ``before``.

    A development version (``0.17.1-12-gabcdef``) is no release, and nothing stands for it.
    """
    since, before, found = _numbers(command.get("since")), _numbers(command.get("before")), _numbers(version)
    return bool(since and before and found) and since <= found < before


def _numbers(version: Any) -> Tuple[int, ...]:
    parts = _RELEASE.fullmatch(version) if isinstance(version, str) else None
    if parts is None or parts.group(2):
        return ()
    return tuple(int(number) for number in parts.group(1).split("."))


def line_of(program: Program, spec: RunSpec) -> Line:
    """The command line of a run. The links that it speaks of are made; they are only ever links to content.

    Raises:
        OSError: they cannot be made.
    """
    command = program.command
    links = {MODULE: spec.module}
    told: List[Tuple[Dict[str, str], str]] = []
    for model in spec.models:
        encoding = (command.get("encodings") or {}).get(model.encoding)
        if encoding is None:
            continue  # a kind of model that it cannot be told of: the guest gets its own answer
        for name in _names(model):
            values = _values(command, model, name, encoding)
            link = "".join(fill([str(command.get("link") or "")], values))
            if link:
                links[link] = model.path
            told.append((values, link))
    folder = _linked(Path(program.links), links)
    lists = {
        "directories": _directories(command, spec),
        "models": [
            word
            for values, link in told
            for word in fill(command.get("model") or (), {**values, "folder": str((folder / link).parent)})
        ],
        "memory": _memory(command, spec),
        "arguments": list(spec.args),
    }
    lists["variables"], environment = _variables(program, spec)
    words = fill(command["words"], {"module": str(folder / MODULE)}, lists)
    return Line([program.path, *words], folder, environment)


def _directories(command: Mapping[str, Any], spec: RunSpec) -> List[str]:
    words: List[str] = []
    for directory in spec.dirs:
        template = command["directory"]
        if not directory.writable:
            template = command.get("read_only_directory") or template
        words += fill(template, {"guest": directory.guest, "host": directory.host})
    return words


def _memory(command: Mapping[str, Any], spec: RunSpec) -> List[str]:
    limit = spec.limits.memory_bytes
    if limit is None:
        return []
    most = min(limit, MOST_MEMORY)
    return fill(command.get("memory") or (), {"bytes": str(most), "pages": str(max(1, most // PAGE))})


def _variables(program: Program, spec: RunSpec) -> Tuple[List[str], Dict[str, str]]:
    words: List[str] = []
    environment: Dict[str, str] = {}
    hidden = program.command.get("hidden_variable") or ()
    for name, value in spec.env.items():
        if hidden and name in program.hidden:
            environment[name] = value
            words += fill(hidden, {"name": name})
        else:
            words += fill(program.command["variable"], {"name": name, "value": value})
    return words, environment


def _names(model: ModelSpec) -> List[str]:
    return [model.name, f"{model.name}@{model.version}"] if model.version else [model.name]


def _values(command: Mapping[str, Any], model: ModelSpec, name: str, encoding: str) -> Dict[str, str]:
    target = (command.get("targets") or {}).get(model.target, model.target)
    return {"name": name, "encoding": encoding, "target": target, "path": model.path}


def _linked(parent: Path, links: Mapping[str, str]) -> Path:
    """A folder with these links, and no others; the same links are always in the same folder.

    It is never changed once it has its name, so that runs share it, and nobody has to take it away when one is killed.
    """
    key = hashlib.sha256(json.dumps(links, sort_keys=True).encode()).hexdigest()[:32]
    folder = parent / key
    if folder.is_dir():
        return folder
    parent.mkdir(parents=True, exist_ok=True)
    _drop_dangling(parent)
    scratch = parent / f".{key}-{os.getpid()}"
    scratch.mkdir()
    for name, target in links.items():
        path = scratch / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
    try:
        scratch.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
        _drop(scratch)  # somebody else made it at the same time
    return folder


def _drop_dangling(parent: Path) -> None:
    """Take away the folders whose module is gone from the device."""
    for folder in list(parent.iterdir()):
        if not folder.name.startswith(".") and not (folder / MODULE).exists():
            _drop(folder)


def _drop(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
