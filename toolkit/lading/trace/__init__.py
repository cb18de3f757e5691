"""Traces: the wasi-nn calls that a guest really makes, recorded once, with what its module and models need."""

from lading.trace.document import Trace, TracedCall, TracedModel
from lading.trace.record import record
from lading.trace.subject import Subject, SubjectOptions, open_subject

__all__ = ["Subject", "SubjectOptions", "Trace", "TracedCall", "TracedModel", "open_subject", "record"]
