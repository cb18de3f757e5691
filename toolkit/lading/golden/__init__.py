"""Golden vectors: inputs of a bare model with the outputs that a device must give."""
