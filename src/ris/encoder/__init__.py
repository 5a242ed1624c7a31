"""From a picture to a vector: networks, their weights, and how they are trained."""
