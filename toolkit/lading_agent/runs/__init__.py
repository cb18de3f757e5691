"""Runs: what a runner process is told, what it reports, and how it is kept within its limits."""
