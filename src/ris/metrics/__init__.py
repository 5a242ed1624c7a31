"""How good a search is: metrics, intervals, latency."""
