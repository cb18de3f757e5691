"""The figures of ``scripts/bench``, one module a subject; each returns a JSON-ready dict with its own reference."""
