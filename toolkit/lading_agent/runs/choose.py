"""Which program runs a guest: the native runner where it can, the Python host where it cannot."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Callable, Final, List, Mapping, Optional, Sequence, Tuple

from lading_agent.engines import identity, packages
from lading_agent.engines.code import CODE, CodeCache
from lading_agent.engines.identity import Identities
from lading_agent.engines.parts import EngineDamaged, EngineFile, EngineMissing, EngineSet
from lading_agent.runs.installed import installed_runner
from lading_agent.runs.launch import CannotLaunch, python_runner
from lading_agent.runs.native import NativeRunner, unspoken
from lading_agent.runs.result import RunResult

if TYPE_CHECKING:
    from pathlib import Path

    from lading_agent.runs.spec import RunSpec

AUTO: Final = "auto"
PYTHON: Final = "python"
NATIVE: Final = "native"
HOSTS: Final = (AUTO, PYTHON, NATIVE)

Finder = Callable[[Identities], EngineSet]
"""Where engines come from; raises :class:`EngineMissing` where there are none."""

Others = Callable[[str, str], EngineFile]
"""An engine by name and version, beside those that are used by default; raises :class:`EngineMissing`."""

MISSING: Final = "engine-missing"
DAMAGED: Final = "engine-damaged"
DAMAGED_REMEDY: Final = "install the engines again; lading engines verify tells which files are not what they were"
_BAD_ENDS: Final = frozenset(("interpreter-crashed", "interpreter-stuck", "no-engine", "runner-failed", "host-failed"))
"""Ends that a damaged engine may be the cause of."""
_PYTHON_NEEDS: Final = ("numpy", "wasmtime")


def installed_packages() -> Finder:
    """The engines of the installed packages, looked up once and again when a file of theirs changed."""
    found: List[Tuple[EngineSet, List[List[int]]]] = []

    def find(identities: Identities) -> EngineSet:
        if found:
            engines, then = found[0]
            try:
                if [identity.state_of(file.path) for file in engines.files] == then:
                    return engines
            except OSError:
                pass
            found.clear()
        engines = packages.installed(identities)
        found.append((engines, [identity.state_of(file.path) for file in engines.files]))
        return engines

    return find


class Chooser:
    """A :data:`~lading_agent.runs.launch.RunnerCommand` that chooses by the run's firmware profile.

    Args:
        host: :data:`AUTO`, or the only one to use.
        cache: the folder for what is remembered of engines; None: nothing outlives this object.
        finders: where engines come from, the first that has some.
        others: where engines of other versions come from, for apps that ask for them.
    """

    def __init__(
        self,
        host: str = AUTO,
        *,
        cache: Optional[Path] = None,
        finders: Optional[Sequence[Finder]] = None,
        others: Sequence[Others] = (),
    ) -> None:
        self._host = host
        self.identities = Identities(cache)
        """What is known of the engines' files."""
        self._code = CodeCache(cache / CODE) if cache is not None else None
        self._finders: Tuple[Finder, ...] = tuple(finders) if finders is not None else (installed_packages(),)
        self._others: Tuple[Others, ...] = tuple(others)

    def __call__(self, spec: RunSpec) -> List[str]:
        """The command for a run.

        Raises:
            CannotLaunch: nothing here can do it, or an engine is damaged.
        """
        if spec.program:
            return installed_runner()
        native = self.native(spec)
        return native(spec) if native is not None else python_runner(spec)

    def native(self, spec: RunSpec) -> Optional[NativeRunner]:
        """The native runner, if it is the one for this run; None: the Python host is.

        Raises:
            CannotLaunch: nothing here can do the run, or an engine is damaged.
        """
        why = self._against(spec)
        if not why:
            try:
                engines = self._find(spec.engines)
                identity.check(engines, self.identities)
                folder = self._code.of(spec.module_digest) if self._code is not None and spec.module_digest else None
                return NativeRunner(engines, folder)
            except EngineMissing as error:
                why = str(error)
                if spec.engines:
                    raise CannotLaunch(MISSING, why, missing_remedy(spec.engines)) from error
            except EngineDamaged as error:
                raise CannotLaunch(DAMAGED, str(error), DAMAGED_REMEDY) from error
            except OSError as error:
                why = f"an engine cannot be read: {error}"
            if self._host == NATIVE:
                raise CannotLaunch("no-native-runner", why, "run it with the Python host (--host python)")
        lacking = [name for name in _PYTHON_NEEDS if not _importable(name)]
        if lacking:
            raise CannotLaunch(
                "no-runtime",
                f"nothing here can run it: not the native runner ({why}), not the Python host ({' and '.join(lacking)}"
                " not installed)",
                "install the engines of the native runner, or use another device",
            )
        return None

    def compile(self, spec: RunSpec) -> Optional[List[str]]:
        """The command that compiles a run's module ahead; None where there is nothing to be compiled, or no way to."""
        try:
            native = self.native(spec)
        except CannotLaunch:
            return None  # the run itself says it
        return native.compile(spec) if native is not None and native.code is not None else None

    def unable(self) -> str:
        """Why none of lading's hosts can run a guest here; empty when one can."""
        lacking = [name for name in _PYTHON_NEEDS if not _importable(name)]
        if not lacking:
            return ""
        try:
            self._find({})
        except (EngineMissing, OSError) as error:
            return str(error)
        return ""

    def lacking(self, spec: RunSpec) -> str:
        """Why the versions of engines that a run asks for are not to be had; empty when they are, or none matter."""
        if not spec.engines or self._against(spec):
            return ""
        try:
            self._find(spec.engines)
        except (EngineMissing, OSError) as error:
            return str(error)
        return ""

    def examine(self, spec: RunSpec, result: RunResult) -> RunResult:
        """Whether a run ended badly because an engine's file is not what it was: then that is its end."""
        if self._code is not None and result.metrics.get("code") == "compiled":
            self._code.bound()
        if result.kind not in _BAD_ENDS or self._against(spec):
            return result
        try:
            damaged = identity.first_damaged(self._find(spec.engines), self.identities)
        except (EngineMissing, OSError):
            return result
        if damaged is None:
            return result
        message = f"{EngineDamaged(damaged)}; the run ended so: {result.message}"
        return RunResult("failed", 125, DAMAGED, message, DAMAGED_REMEDY, result.metrics)

    def _against(self, spec: RunSpec) -> str:
        """Why the native runner is not the one for this run, wherever that is; empty when it is."""
        if spec.program:
            return "the device's own runtime was asked for"
        if self._host == NATIVE:
            return ""
        if self._host == PYTHON:
            return "the Python host was asked for"
        if not (spec.personality.get("host") or {}).get("native"):
            return f"it does not replay the firmware profile {spec.personality.get('id')}"
        if spec.trace:
            return "it does not record calls"
        if spec.backend not in ("litert", "none"):
            return f"it has no backend {spec.backend}"
        missing = unspoken(spec.personality)
        return f"it does not know {missing}, which the firmware profile asks for" if missing else ""

    def _find(self, wanted: Mapping[str, str]) -> EngineSet:
        why: List[str] = []
        for find in self._finders:
            try:
                return self._in_versions(find(self.identities), wanted)
            except EngineMissing as error:
                why.append(str(error))
        raise EngineMissing("; ".join(why) or "there are no engines")

    def _in_versions(self, engines: EngineSet, wanted: Mapping[str, str]) -> EngineSet:
        """The engines with those replaced that are of another version than is wanted."""
        return EngineSet(
            engines.runner,
            self._in_version(engines.wasmtime, wanted.get(engines.wasmtime.name)),
            self._in_version(engines.litert, wanted.get(engines.litert.name)),
        )

    def _in_version(self, engine: EngineFile, wanted: Optional[str]) -> EngineFile:
        if wanted is None or engine.version == wanted:
            return engine
        why = [f"{engine.name} is {engine.version} here, not {wanted}"]
        for other in self._others:
            try:
                return other(engine.name, wanted)
            except EngineMissing as error:
                why.append(str(error))
        raise EngineMissing("; ".join(why))


def missing_remedy(wanted: Mapping[str, str]) -> str:
    """What can be done where engines that an app asks for are missing."""
    named = " ".join(f"{name}=={version}" for name, version in sorted(wanted.items()))
    return f"fetch them (lading engines fetch {named}), or take [engines] out of lading.toml"


def _importable(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False
