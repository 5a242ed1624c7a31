"""A process that was forked from one that had used an engine is told so, instead of hanging."""

import subprocess
import sys
from pathlib import Path

from ris.engine import SearchEngine

SCRIPT = """
import multiprocessing, sys
from ris.engine import SearchEngine
from ris.errors import RisError

store, query = sys.argv[1:]
engine = SearchEngine.open(store, threads=2)
engine.search(query, 1)

def told(work):
    try:
        return work()
    except RisError as error:
        return str(error)

def child(queue):
    queue.put([
        told(lambda: engine.search(query, 1)),
        told(lambda: engine.find(query, 1)),
        told(lambda: engine.search_many([query], 1)),
        told(lambda: SearchEngine.open(store)),
    ])

context = multiprocessing.get_context("fork")
queue = context.Queue()
process = context.Process(target=child, args=(queue,))
process.start()
answers = queue.get(timeout=60)
process.join()
assert all("was forked" in one and "spawn" in one for one in answers), answers
assert engine.search(query, 1)[0].path == "00.png"
"""


def test_after_a_fork(built: SearchEngine, photos: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, str(built.store), str(photos / "00.png")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
