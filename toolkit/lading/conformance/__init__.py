"""The conformance suite: probe guests, and what a firmware profile foretells of them (``docs/conformance.md``)."""
