"""Searching: the space of vectors, the indexes over it, and the protocol they share."""
