"""The agent protocol: frames, messages, the hello. ``docs/wire.md`` describes it for a second implementation."""
