"""Serving requests: one connection, many requests at once, each in a thread of its own."""
