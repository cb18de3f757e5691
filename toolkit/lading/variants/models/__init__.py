"""Model variants: the same model with other types at its inputs and outputs, or with smaller weights."""
