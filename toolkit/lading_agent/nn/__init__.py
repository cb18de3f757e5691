"""The wasi-nn host in Python: wasmtime and a TFLite interpreter, behaving as a firmware profile says.

``rules`` and what it uses decide every call from data alone; ``host``, ``guest`` and ``process`` carry it out.
"""
