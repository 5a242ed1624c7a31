"""How many searches one `ris serve` answers: python benchmarks/serving.py STORE [--seconds 60].

The server is a process of its own with its default settings. Its clients are threads of this process, each
with a connection and an address of its own, that ask again as soon as they are answered; they share the
processors with the server. Asked for are pictures of the store, a little smaller and encoded anew.

Beside it stand two bare rates, with nothing read, searched or sent: of the network as it embeds a store, over
prepared pictures in its best batches, and of the form of it that embeds queries, in as many threads as the
server has for that. The clients' time is cut into slices, and each is measured before and after every slice,
for the speed of a machine changes. One client alone, and the engine called from Python, give the latency.
"""

import argparse
import itertools
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from io import BytesIO
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from ris.artifacts import write_json
from ris.config import Network
from ris.encoders.named import choose, restore
from ris.encoders.transforms import Pixels, for_embedding
from ris.engine import SearchEngine
from ris.indexes.vectors import Vectors
from ris.serve import Settings
from ris.serve.server import bound, configured
from ris.store.ingest import BATCH

SEED = 0
QUERIES = 200
SHRUNK, QUALITY = 0.9, 85
K = 10
ALONE = 100
"""Searches of one client, for the latency."""
BARE_SECONDS = 2.0
SLICES = 6
"""Of the time for which clients ask, between which the bare rates are measured."""
BOUNDARY = b"----a-picture"
ASKED = {
    "similar": f"/api/search?k={K}&verify=false",
    "similar, same ones proven": f"/api/search?k={K}",
    "where is it": f"/api/find?k={K}",
}


@dataclass(frozen=True)
class Answers:
    """What clients were answered."""

    seconds: list[float]
    """One a search."""
    errors: int
    """Answers other than 200, and connections that broke."""


def serve(store: str, ready: Connection) -> None:
    """Serve a store on a free port, and tell it."""
    with SearchEngine.open(store) as engine, bound(Settings(port=0)) as listener:
        ready.send(listener.getsockname()[1])
        configured(engine, Settings(port=0)).run([listener])


@contextmanager
def server(store: Path) -> Iterator[int]:
    """Run a server while the block runs; yield its port once it is ready."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(str(store), there), daemon=True)
    process.start()
    port = int(here.recv())
    while not is_ready(port):
        time.sleep(0.1)
    try:
        yield port
    finally:
        process.terminate()
        process.join()


def is_ready(port: int) -> bool:
    """Whether the server answers, and has loaded the network."""
    try:
        return ask(HTTPConnection("127.0.0.1", port), "GET", "/ready", b"") == 200
    except ConnectionRefusedError:
        return False


def ask(connection: HTTPConnection, method: str, path: str, body: bytes) -> int:
    """Send a request, read all of the answer, and return its status."""
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY.decode()}"} if body else {}
    connection.request(method, path, body or None, headers)
    response = connection.getresponse()
    response.read()
    return response.status


def form(picture: bytes) -> bytes:
    """Return a picture as the body of an upload."""
    head = b'Content-Disposition: form-data; name="picture"; filename="query.jpg"'
    return b"\r\n".join((b"--" + BOUNDARY, head, b"", picture, b"--" + BOUNDARY + b"--", b""))


def pictures(engine: SearchEngine) -> list[bytes]:
    """Return some of the store's pictures, shrunk and encoded anew."""
    found = engine.pictures()
    chosen = np.random.default_rng(SEED).choice(len(found), min(QUERIES, len(found)), replace=False)
    encoded = []
    for position in chosen:
        image = engine.image(found[position].row)
        image = image.resize((round(image.width * SHRUNK), round(image.height * SHRUNK)))
        stream = BytesIO()
        image.save(stream, "JPEG", quality=QUALITY)
        encoded.append(stream.getvalue())
    return encoded


def prepared(engine: SearchEngine, queries: list[bytes], network: Network) -> list[Pixels]:
    """Return queries as the network sees them, in batches (b, 3, crop, crop) uint8."""
    pixels = np.stack([for_embedding(engine.read(query), network) for query in queries])
    return [pixels[start : start + BATCH] for start in range(0, len(pixels) - BATCH + 1, BATCH)]


def bare(embed: Callable[[Pixels], Vectors], batches: list[Pixels]) -> float:
    """Return the pictures that are embedded in a second."""
    embed(batches[0])
    started, done = time.perf_counter(), 0
    for batch in itertools.cycle(batches):
        done += len(embed(batch))
        if (took := time.perf_counter() - started) > BARE_SECONDS:
            break
    return done / took


def in_python(engine: SearchEngine, queries: list[bytes], name: str) -> list[float]:
    """Return the seconds of each search that is called from Python, one at a time."""
    seconds = []
    for query in queries[:ALONE]:
        started = time.perf_counter()
        if name == "where is it":
            engine.find(query, K)
        else:
            engine.search(query, K, verify=name != "similar")
        seconds.append(time.perf_counter() - started)
    return seconds


def client(port: int, number: int, path: str, bodies: list[bytes], until: float) -> Answers:
    """Ask again and again until it is time; the address of each client is its own."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60, source_address=(f"127.0.1.{number + 1}", 0))
    seconds: list[float] = []
    errors = 0
    while time.perf_counter() < until:
        started = time.perf_counter()
        try:
            errors += ask(connection, "POST", path, bodies[(31 * number + len(seconds)) % len(bodies)]) != 200
        except OSError:
            errors += 1
            connection.close()
        seconds.append(time.perf_counter() - started)
    return Answers(seconds, errors)


def together(port: int, path: str, bodies: list[bytes], clients: int, seconds: float) -> Answers:
    """Let clients ask at once."""
    with ThreadPoolExecutor(clients) as pool:
        until = time.perf_counter() + seconds
        jobs = [pool.submit(client, port, i, path, bodies, until) for i in range(clients)]
        answers = [job.result() for job in jobs]
    return Answers([second for one in answers for second in one.seconds], sum(one.errors for one in answers))


def measured(store: Path, clients: int, seconds: float) -> dict[str, Any]:
    """Measure all of it, one after the other."""
    results: dict[str, Any] = {}
    with SearchEngine.open(store) as engine, server(store) as port:
        queries = pictures(engine)
        bodies = [form(query) for query in queries]
        identity, _ = choose(engine.info().encoder)
        embedder = restore(identity, None, os.cpu_count() or 1)
        batches = prepared(engine, queries, identity.network)
        for name, path in ASKED.items():
            in_python(engine, queries[:5], name)
            python = in_python(engine, queries, name)
            connection, alone = HTTPConnection("127.0.0.1", port, timeout=60), []
            for body in bodies[: ALONE + 5]:
                started = time.perf_counter()
                assert ask(connection, "POST", path, body) == 200
                alone.append(time.perf_counter() - started)
            rates, answers, took = [bare(embedder.embed, batches)], Answers([], 0), 0.0
            for _ in range(SLICES):
                started = time.perf_counter()
                some = together(port, path, bodies, clients, seconds / SLICES)
                took += time.perf_counter() - started
                answers = Answers(answers.seconds + some.seconds, answers.errors + some.errors)
                rates.append(bare(embedder.embed, batches))
            served, embedded = len(answers.seconds) / took, float(np.mean(rates))
            results[name] = {
                "python_p50_ms": 1000 * float(np.median(python)),
                "alone_p50_ms": 1000 * float(np.median(alone[5:])),
                "bare_pictures_per_second": embedded,
                "searches_per_second": served,
                "share_of_bare": served / embedded,
                **{f"p{q}_ms": 1000 * float(np.percentile(answers.seconds, q)) for q in (50, 99)},
                "errors": answers.errors,
                "searches": len(answers.seconds),
            }
    return results


def main() -> None:
    """Print the table and, where asked, write it as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("store", type=Path, help="the store that is served")
    parser.add_argument("--clients", type=int, default=16, help="that ask at once")
    parser.add_argument("--seconds", type=float, default=60.0, help="for which they ask each question")
    parser.add_argument("--output", type=Path, help="write the figures to this JSON file")
    options = parser.parse_args()
    results = measured(options.store, options.clients, options.seconds)
    print(f"{options.clients} clients at once for {options.seconds:g} s each; latency in milliseconds\n")
    print(
        f"{'':<26}{'Python p50':>11}{'alone p50':>11}{'bare /s':>9}{'served /s':>11}"
        f"{'of bare':>9}{'p50':>8}{'p99':>8}{'errors':>8}"
    )
    for name, one in results.items():
        print(
            f"{name:<26}{one['python_p50_ms']:11.1f}{one['alone_p50_ms']:11.1f}"
            f"{one['bare_pictures_per_second']:9.1f}"
            f"{one['searches_per_second']:11.1f}{one['share_of_bare']:9.2f}"
            f"{one['p50_ms']:8.0f}{one['p99_ms']:8.0f}{one['errors']:8.0f}"
        )
    if options.output:
        write_json(options.output, {"clients": options.clients, "seconds": options.seconds, "k": K} | results)


if __name__ == "__main__":
    main()
