"""WebAssembly modules, read without running them: imports, exports, memory, features, WASI, wasi-nn."""

from lading.wasm.module import Module
from lading.wasm.read import read_module

__all__ = ["Module", "read_module"]
