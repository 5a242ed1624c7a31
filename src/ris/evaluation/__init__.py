"""How good the search is: metrics, intervals, latency, pictures, the report."""
