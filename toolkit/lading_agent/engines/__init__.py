"""The native runner and the libraries that it loads: which files they are, and whether they are still whole."""
