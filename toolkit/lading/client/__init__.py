"""The client's side of the agent protocol: sessions with devices."""

from lading.client.connect import connect
from lading.client.events import Event, Log, Metric, Output, Started, Tensor
from lading.client.results import PushResult, RunResult
from lading.client.session import Session

__all__ = [
    "Event",
    "Log",
    "Metric",
    "Output",
    "PushResult",
    "RunResult",
    "Session",
    "Started",
    "Tensor",
    "connect",
]
