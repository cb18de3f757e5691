"""TFLite models, read without an interpreter: tensors, operators, signatures, memory."""

from lading.tflite.memory import MemoryEstimate, estimate_memory
from lading.tflite.model import Model
from lading.tflite.read import read_model

__all__ = ["MemoryEstimate", "Model", "estimate_memory", "read_model"]
