"""The pipeline: data, training, stages, sweeps, and the report; nothing outside of it imports it."""
