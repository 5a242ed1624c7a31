"""From a source to a catalog: fetching, reading, cleaning, splitting."""
