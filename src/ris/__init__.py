"""Reverse Image Search Constructor: builds a reverse image search over a folder and proves how good it is."""
