"""What a prediction knows beyond a call: models as the trace tells of them, in place of files and an interpreter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading_agent.nn.facts import ModelFacts
from lading_agent.nn.state import ContextState, GraphState

if TYPE_CHECKING:
    from lading.trace.document import Trace, TracedCall, TracedModel
    from lading_agent.nn.calls import Call

_NOT_SEEN = ModelFacts(size=0, error="the trace does not say what these bytes are")


class TracedWorld:
    """The world of :mod:`lading_agent.nn.rules`, made of facts. ``now`` is the call that is being decided."""

    def __init__(self, trace: Trace) -> None:
        self._models = trace.models
        self._prepared: dict[str, str] = {}
        for traced in trace.calls:
            if "prepare" in traced.told and traced.told.get("model"):
                self._prepared[str(traced.told["model"])] = str(traced.told["prepare"])
        self.now: TracedCall | None = None

    def given_model(self, call: Call, *, unverified: bool = False) -> GraphState:  # noqa: ARG002
        """The bytes that ``load`` hands over."""
        found = self._told("loose") if unverified else None
        found = found or self._told("model")
        return _graph(found) if found is not None else GraphState(-1, _NOT_SEEN)

    def named_model(self, name: bytes) -> GraphState | None:  # noqa: ARG002
        """The model that the guest called by that name."""
        found = self._told("named")
        return _graph(found) if found is not None else None

    def file_model(self, path: bytes, *, unverified: bool = False) -> GraphState | None:
        """The file that the guest named by that path."""
        told = self.now.told.get("files", {}).get(path.hex(), {}) if self.now is not None else {}
        found = self._models.get(str((unverified and told.get("loose")) or told.get("model")))
        return _graph(found) if found is not None else None

    def named_size(self, name: bytes) -> int | None:  # noqa: ARG002
        """The size of the model of that name."""
        found = self._told("named")
        return found.size if found is not None else None

    def prepare(self, graph: GraphState, context: ContextState) -> str:  # noqa: ARG002
        """What the interpreter said when the model was prepared in the traced run."""
        if graph.facts.error:
            return f"the interpreter cannot prepare the model: {graph.facts.error}"
        model: TracedModel | None = graph.model
        return self._prepared.get(model.id, "") if model is not None else ""

    def output_bytes(self, context: ContextState, index: int) -> int:
        """The size that the output had at this call in the traced run."""
        size = self.now.told.get("output_bytes") if self.now is not None else None
        return int(size) if size is not None else context.graph.facts.outputs[index].nbytes

    def _told(self, key: str) -> TracedModel | None:
        model = self.now.told.get(key) if self.now is not None else None
        return self._models.get(str(model)) if model else None


def _graph(model: TracedModel) -> GraphState:
    return GraphState(-1, model.facts, int8=model.int8, state=model.state, model=model)
