"""What a host remembers between calls, as plain data: graphs and contexts by handle, and a few flags.

The steps of :mod:`lading_agent.nn.rules` read and change it and nothing else, so that a prediction from a trace and the
emulated host walk through the same states.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional, Set

if TYPE_CHECKING:
    from lading_agent.nn.facts import ModelFacts


@dataclass
class GraphState:
    """One graph handle."""

    handle: int
    facts: ModelFacts
    int8: str = "as-u8"
    state: Mapping[str, str] = field(default_factory=dict)
    """Declared state tensors: output name to input name."""
    usable: bool = True
    """False for a handle that was given out although the load failed."""
    name: Optional[bytes] = None
    """The name that it was loaded by."""
    model: Any = None
    """Whatever the host keeps for it (its loaded model); rules never look inside."""


@dataclass
class ContextState:
    """One execution context."""

    handle: int
    graph: GraphState
    usable: bool = True
    prepared: bool = True
    """False when the interpreter has no memory for tensors, and the host went on all the same."""
    computed: bool = False
    """``compute`` has succeeded at least once."""
    stepped: bool = False
    """``compute_single`` has run since the context began or ``fini_single`` ended a stream."""
    inputs: Set[int] = field(default_factory=set)
    """Indices that ``set_input`` accepted."""
    live: Any = None
    """Whatever the host keeps for it (its interpreter); rules never look inside."""


@dataclass
class HostState:
    """Everything between two calls of one guest."""

    graphs: Dict[int, GraphState] = field(default_factory=dict)
    contexts: Dict[int, ContextState] = field(default_factory=dict)
    next_graph: int = 0
    next_context: int = 0
    flags: Set[str] = field(default_factory=set)
    """Names of things that have happened, as the profile's steps call them (``mark`` and ``needs-mark``)."""
    version: int = 0
    """Goes up with every change that another call could notice."""
    graph_limit: int = 64
    context_limit: int = 64
    model_bytes_limit: int = 256 * 1024 * 1024

    def start_over(self) -> None:
        """Forget every graph and context; handles begin at 0 again."""
        self.graphs.clear()
        self.contexts.clear()
        self.next_graph = self.next_context = 0
        self.touch()

    def touch(self) -> None:
        """Say that something changed."""
        self.version += 1

    def graph(self, handle: int) -> Optional[GraphState]:
        """The graph of a handle, when it can be used."""
        found = self.graphs.get(handle)
        return found if found is not None and found.usable else None

    def context(self, handle: int) -> Optional[ContextState]:
        """The context of a handle, when it can be used."""
        found = self.contexts.get(handle)
        return found if found is not None and found.usable else None
