"""Guests made fit for other hosts without their source: other numbers, other layouts, older encodings, less size."""
