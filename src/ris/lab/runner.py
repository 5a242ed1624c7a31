"""What every stage has in common: parameters in, one clear sentence on failure, one run a tree at a time."""

import errno
import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Any

import hydra
import yaml
from filelock import FileLock, Timeout
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from threadpoolctl import threadpool_limits
from yaml import YAMLError

from ris.artifacts import write_json
from ris.errors import RisError
from ris.lab import config, layout
from ris.lab.compose import check_overrides
from ris.lab.config import Params
from ris.lab.layout import Tree

Stage = Callable[[Params, Tree], dict[str, Any] | None]

_STOPPED = {128 + signal.SIGINT: "interrupted", 128 + signal.SIGTERM: "terminated"}

_QUIET: dict[str, Any] = {
    "defaults": [
        "params",
        {"override hydra/job_logging": "none"},
        {"override hydra/hydra_logging": "none"},
        "_self_",
    ],
    "hydra": {
        "run": {"dir": "."},
        "output_subdir": None,
        "sweep": {"dir": "multirun/${now:%Y-%m-%d_%H-%M-%S}", "subdir": "${hydra.job.num}"},
    },
}


def run(stage: Stage, keys: Sequence[str] | None = None) -> list[Tree]:
    """Run a stage as a Hydra application over ./params.yaml, with overrides and `--multirun`.

    What the stage returns goes to reports/timings/ with its wall time and the peak memory of its largest
    process. Exits with 1 after one sentence on bad input, and with 130 or 143 when interrupted or terminated.

    Args:
        stage: what is run.
        keys: the keys and sections of params.yaml that it reads, where others may not be given; those that
            dvc.yaml names for it without.

    Returns:
        The tree that each job wrote to; none after `--help`.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # else Hydra prints its errors, in many lines, and exits by itself
    name = stage.__name__
    trees: list[Tree] = []
    try:
        used = keys or read_keys(name)
        if not {"--help", "-h"} & set(sys.argv):
            config.load()
            given = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
            check_overrides(given)
            if keys or "--multirun" in sys.argv or "-m" in sys.argv:
                check_used(given, used, name)
        # Lightning starts the stage anew on each further GPU, beside the one that holds the lock.
        with nullcontext() if "LOCAL_RANK" in os.environ else _only_run(Path(".ris/lock")):
            ConfigStore.instance().store(name="stage", node=_QUIET | _help(stage, used))
            hydra.main(version_base="1.3", config_path=str(Path.cwd()), config_name="stage")(
                lambda raw: trees.append(_run_once(stage, name, raw))
            )()
    except (RisError, OSError, HydraException, OmegaConfBaseException, YAMLError) as error:
        _fail(_told(error))
    except SystemExit as ended:
        if ended.code in _STOPPED:
            told = f"Stage {name} was {_STOPPED[ended.code]}; nothing half-written was left, run it again."
            _fail(told, ended.code)
        raise
    return trees


def read_keys(*stages: str) -> list[str]:
    """Return the keys and sections of params.yaml that stages read, as dvc.yaml has them; none of others."""
    path = Path("dvc.yaml")
    known = yaml.safe_load(path.read_bytes())["stages"] if path.is_file() else {}
    found = [known[name].get("do", known[name]) for name in stages if name in known]
    return list(dict.fromkeys(key for stage in found for key in stage.get("params", ())))


def check_used(arguments: Iterable[str], keys: Sequence[str], name: str) -> None:
    """Check that each `key=value` is of a key that is read, not one that would change nothing.

    Raises:
        RisError: it is not.
    """
    for key in (argument.lstrip("+~").partition("=")[0] for argument in arguments):
        other = key.startswith(("hydra.", "hydra/", "logger.")) or key.endswith(".workers")
        if keys and not other and not any(f"{key}.".startswith(f"{one}.") for one in keys):
            raise RisError(f"`{key}` changes nothing here: {name} reads {', '.join(keys)}.")


def compute_on(threads: int) -> None:
    """Compute sums on so many threads from now on: PyTorch, BLAS and OpenMP."""
    if torch := sys.modules.get("torch"):  # Some stages do without it.
        torch.set_num_threads(threads)
    threadpool_limits(threads)


def timed(stage: Stage, name: str, params: Params, tree: Tree) -> None:
    """Run a stage and write what it took, with what it measured itself, to reports/timings/."""
    start = time.perf_counter()
    measured = stage(params, tree) or {}
    took = {"seconds": round(time.perf_counter() - start, 3), "peak_memory_bytes": _peak_memory()}
    write_json(tree.write(layout.timings(name)), took | measured)


def _run_once(stage: Stage, name: str, raw: DictConfig) -> Tree:
    try:
        params = config.check(OmegaConf.to_container(raw, resolve=True, throw_on_missing=True))
        compute_on(params.threads)
        here = Path.cwd()
        swept = HydraConfig.get().mode is RunMode.MULTIRUN
        tree = Tree(Path(HydraConfig.get().runtime.output_dir) if swept else here, behind=here)
        if swept:
            tree.write("params.yaml").parent.mkdir(parents=True, exist_ok=True)
            tree.write("params.yaml").write_text(OmegaConf.to_yaml(raw, resolve=True))
        timed(stage, name, params, tree)
    except (RisError, OSError, OmegaConfBaseException) as error:
        _fail(_told(error))
    return tree


def _help(stage: Stage, keys: Sequence[str]) -> dict[str, Any]:
    """What `--help` prints: what the project is, what the stage does, and the keys that it takes."""
    started, name = sys.modules["__main__"].__spec__, stage.__name__
    module = started.name if started else stage.__module__
    program = f"python -m {module if module.endswith(name) else f'{module} {name}'}"
    taken = "\n".join(f"  {key}" for key in keys) or "  any"
    text = (
        "Reverse image search over a folder of pictures, and the proof of how good it is: a part of that.\n\n"
        f"{sys.modules[stage.__module__].__doc__}\n"
        f"Usage: {program} [KEY=VALUE ...]\n"
        f"       {program} --multirun KEY=VALUE,VALUE ...\n"
        "       (a job for each value, in a folder of its own below multirun/)\n\n"
        f"Keys and sections of params.yaml that it reads, explained in src/ris/lab/config.py:\n{taken}\n"
    )
    return {"hydra": _QUIET["hydra"] | {"help": {"template": text.replace("$", "\\$")}}}


def _only_run(path: Path) -> AbstractContextManager[object]:
    path.parent.mkdir(exist_ok=True)
    try:
        return FileLock(path).acquire(timeout=0)
    except Timeout as error:
        raise RisError(f"Another run works in {Path.cwd()}; wait for it, or use another clone.") from error


def _peak_memory() -> int:
    usages = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return max(usages) * (1 if sys.platform == "darwin" else 1024)


def _told(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"No space left to write {error.filename or 'the artefacts'}; free some and run again."
    if isinstance(error, PermissionError) and error.filename:
        return f"{error.filename} may not be read or written; change its permissions and run again."
    return " ".join(str(error).split())


def _stop(number: int, _frame: FrameType | None) -> None:
    if multiprocessing.parent_process():
        raise KeyboardInterrupt  # as a worker expects it
    signal.signal(signal.SIGCHLD, lambda *_: None)  # workers got the same signal, and PyTorch would complain
    # Not KeyboardInterrupt, which Lightning turns into an exit code of its own.
    raise SystemExit(128 + number)


def _fail(sentence: str, code: int = 1) -> None:
    print(f"error: {sentence}", file=sys.stderr)
    raise SystemExit(code)
