"""The quick way through subscriber files: most of their text looks like text that was read before."""
