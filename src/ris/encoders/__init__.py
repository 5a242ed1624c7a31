"""From a picture to a vector: networks, their weights."""
