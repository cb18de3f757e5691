"""The models of one run: named ones from the spec, and those that the guest hands over, each held once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Tuple

from lading_agent.nn.ends import End, RunEnds
from lading_agent.nn.engine import MOST_TENSOR_BYTES, Engine, Inference, Refused, check_inputs, state_pairs
from lading_agent.nn.facts import ModelFacts, read_model, read_unverified
from lading_agent.nn.state import ContextState, GraphState

if TYPE_CHECKING:
    from lading_agent.nn.calls import Call
    from lading_agent.nn.memory import GuestMemory
    from lading_agent.nn.places import Places
    from lading_agent.runs.spec import ModelSpec

ENCODING = "tensorflowlite"
TARGET = "cpu"


@dataclass
class HeldModel:
    """One model's bytes, shared by every graph that is made of them."""

    size: int
    path: Optional[str] = None
    content: Optional[bytes] = None
    spec: Optional[ModelSpec] = None
    facts: Optional[ModelFacts] = None
    spare: Any = None
    """An interpreter that was made to look whether the model can be read, and is not yet anybody's."""
    array: Any = field(default=None, repr=False)
    """The bytes as a numpy array, for comparing; mapped from the file where there is one."""


class Live:
    """What a context keeps: its interpreter, and which output feeds which input."""

    __slots__ = ("inference", "model", "pairs", "steps")

    def __init__(self, model: HeldModel, inference: Inference, pairs: List[Tuple[int, int]]) -> None:
        self.model = model
        self.inference = inference
        self.pairs = pairs
        self.steps = 0


class Models:
    """The real :class:`~lading_agent.nn.rules.World`: files, guest memory and a TFLite interpreter."""

    def __init__(
        self,
        engine: Optional[Engine],
        named: Tuple[ModelSpec, ...],
        most_bytes: int,
        memory_bytes: Optional[int] = None,
        places: Optional[Places] = None,
    ) -> None:
        """Take the run's models.

        Args:
            engine: the interpreter; ``None`` for a host without one.
            named: models that the guest may load by name.
            most_bytes: no larger model is read.
            memory_bytes: what the whole run may use.
            places: where models are that a guest names by path.

        Raises:
            OSError: a named model has no file.
        """
        self._engine = engine
        self._most = most_bytes
        self._memory_bytes = memory_bytes
        self._held: List[HeldModel] = []
        self._named: Dict[str, HeldModel] = {}
        self.memory: Optional[GuestMemory] = None
        self._places = places
        for spec in named:
            held = HeldModel(size=Path(spec.path).stat().st_size, path=spec.path, spec=spec)
            self._held.append(held)
            self._named.setdefault(spec.name, held)
            if spec.version:
                self._named[f"{spec.name}@{spec.version}"] = held

    def given_model(self, call: Call, *, unverified: bool = False) -> GraphState:
        """See :class:`~lading_agent.nn.rules.World`."""
        import numpy as np

        at, length = call.ranges.get("model", (0, 0))
        assert self.memory is not None
        found = self.memory.array[at : at + length]
        for held in self._held:
            if held.size == length and np.array_equal(self._bytes_of(held), found):
                return self._graph(held)
        held = HeldModel(size=length, content=found.tobytes())
        held.array = np.frombuffer(held.content or b"", dtype=np.uint8)
        facts = self._read(held)
        if not facts.error:
            self._held.append(held)
        elif unverified and facts.identifier:
            held = self._as_read(held)
        return self._graph(held)

    def file_model(self, path: bytes, *, unverified: bool = False) -> Optional[GraphState]:
        """See :class:`~lading_agent.nn.rules.World`."""
        found = self._places.find(path) if self._places is not None else None
        if found is None:
            return None
        for held in self._held:
            if held.path == str(found) and held.spec is None:
                return self._graph(held)
        try:
            held = HeldModel(size=found.stat().st_size, path=str(found))
            facts = self._read(held)
        except OSError:
            return None
        if not facts.error:
            self._held.append(held)
        elif unverified and facts.identifier:
            held = self._as_read(held)
        return self._graph(held)

    def _as_read(self, held: HeldModel) -> HeldModel:
        """The same model as a host sees it that checks nothing but its identifier."""
        facts, content = read_unverified(self._bytes_of(held))
        loose = HeldModel(size=facts.size, content=content, facts=facts)
        try:
            if not facts.error and self._engine is not None:
                loose.spare = self._engine.open(content=content)
        except Refused as error:
            loose.facts = facts.refused(f"the interpreter cannot read the model: {error}")
        return loose

    def named_model(self, name: bytes) -> Optional[GraphState]:
        """See :class:`~lading_agent.nn.rules.World`."""
        held = self.find(name)
        return self._graph(held) if held is not None else None

    def named_size(self, name: bytes) -> Optional[int]:
        """See :class:`~lading_agent.nn.rules.World`."""
        held = self.find(name)
        return held.size if held is not None else None

    def find(self, name: bytes) -> Optional[HeldModel]:
        """The named model; UTF-8, exactly."""
        try:
            return self._named.get(name.decode("utf-8"))
        except UnicodeDecodeError:
            return None

    def prepare(self, graph: GraphState, context: ContextState) -> str:
        """See :class:`~lading_agent.nn.rules.World`."""
        try:
            context.live = self.live(graph.model)
        except Refused as error:
            return f"the interpreter cannot prepare the model: {error}"
        return ""

    def live(self, held: HeldModel) -> Live:
        """An interpreter of its own for a model.

        Raises:
            Refused: the model cannot be read or prepared, or its declared state does not fit it.
            RunEnds: it cannot, and it is clear that the run's memory is too small for it.
        """
        facts = self._read(held)
        if facts.error:
            raise Refused(facts.error)
        pairs = state_pairs(facts, held.spec.state if held.spec is not None else {})
        most_bytes = MOST_TENSOR_BYTES if self._memory_bytes is None else self._memory_bytes
        try:
            check_inputs(facts, most_bytes)
            interpreter, held.spare = held.spare, None
            if interpreter is None:
                assert self._engine is not None
                interpreter = self._engine.open(path=held.path, content=held.content)
            return Live(held, Inference(interpreter, facts, most_bytes), pairs)
        except Refused as error:
            limit = self._memory_bytes
            if limit is None:
                raise
            if held.size * 2 < limit:
                raise Refused(f"{error} (the run may use {limit} bytes of memory)") from error
            raise RunEnds(_no_room(held, limit)) from error

    def output_bytes(self, context: ContextState, index: int) -> int:
        """See :class:`~lading_agent.nn.rules.World`."""
        live: Live = context.live
        return live.inference.output_bytes(index)

    def _graph(self, held: HeldModel) -> GraphState:
        facts = self._read(held)
        spec = held.spec
        state: Mapping[str, str] = spec.state if spec is not None else {}
        return GraphState(-1, facts, int8=spec.int8 if spec is not None else "as-u8", state=state, model=held)

    def _read(self, held: HeldModel) -> ModelFacts:
        if held.facts is None:
            wrong = _not_ours(held.spec) if held.spec is not None else ""
            if wrong:
                held.facts = ModelFacts(size=held.size, error=wrong)
                return held.facts
            if held.size > self._most:
                held.facts = ModelFacts(size=held.size, error=f"the model has {held.size} bytes, limit {self._most}")
                return held.facts
            held.facts = read_model(self._bytes_of(held))
            if not held.facts.error and self._engine is not None:
                try:
                    held.spare = self._engine.open(path=held.path, content=held.content)
                except Refused as error:
                    held.facts = held.facts.refused(f"the interpreter cannot read the model: {error}")
        return held.facts

    def content(self, held: HeldModel) -> Any:
        """A model's bytes, as a buffer."""
        return held.content if held.content is not None else self._bytes_of(held)

    def _bytes_of(self, held: HeldModel) -> Any:
        if held.array is None:
            import numpy as np

            assert held.path is not None
            held.array = np.memmap(held.path, dtype=np.uint8, mode="r") if held.size else np.zeros(0, np.uint8)
        return held.array


def _no_room(held: HeldModel, limit: int) -> End:
    """An interpreter needs a model's weights once more in its own layout, and room for its tensors."""
    name = f"model '{held.spec.name}'" if held.spec is not None else "the model"
    return End(
        "failed",
        125,
        "out-of-memory",
        f"{name} has {held.size} bytes and cannot be prepared in the {limit} bytes of memory that the run may use",
        "use a smaller model, or a target with more memory (--max-memory, or memory in lading.toml)",
    )


def _not_ours(spec: ModelSpec) -> str:
    """Why a named model can never be loaded here, whatever its bytes."""
    if spec.encoding != ENCODING:
        return f"model '{spec.name}' has the encoding {spec.encoding}, this host runs {ENCODING}"
    if spec.target != TARGET:
        return f"model '{spec.name}' wants the target {spec.target}, this host has {TARGET} only"
    return ""
