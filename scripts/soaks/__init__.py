"""Whole matrices, too long for every test run."""
