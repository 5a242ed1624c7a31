"""What the server counts, in Prometheus' format."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from starlette.types import Scope

from ris.engine import SearchEngine

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
METHODS = ("GET", "HEAD", "POST", "DELETE")


class Metrics:
    """Counters of one application, in a registry of their own."""

    def __init__(self, engine: SearchEngine) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "ris_requests", "Requests answered.", ("method", "route", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "ris_request_seconds",
            "Time to the end of the answer.",
            ("route",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.in_progress = Gauge(
            "ris_requests_in_progress", "Requests being answered.", registry=self.registry
        )
        self.following = Gauge(
            "ris_following", "1 where the store is followed, 0 where that failed.", registry=self.registry
        )
        self.follow_failures = Counter(
            "ris_follow_failures", "Times that the store could not be followed.", registry=self.registry
        )
        pictures = Gauge("ris_pictures", "Pictures in the store.", registry=self.registry)
        pictures.set_function(lambda: len(engine))
        version = Gauge("ris_store_version", "Version of the store that is served.", registry=self.registry)
        version.set_function(lambda: engine.version)

    def observe(self, scope: Scope, status: int, seconds: float) -> None:
        """Count a request, under its route's pattern and never its own path."""
        route = getattr(scope.get("route"), "path", "none")
        method = scope["method"] if scope["method"] in METHODS else "other"
        self.requests.labels(method, route, str(status)).inc()
        self.seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """Return all of it in Prometheus' text format."""
        return generate_latest(self.registry)
