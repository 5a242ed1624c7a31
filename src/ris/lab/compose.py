"""Write params.yaml from conf/, as `dvc exp run` does, for trees that are not under git.

Usage: python -m ris.lab.compose [OVERRIDE ...]
"""

import sys
from collections.abc import Collection, Iterable
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ris.artifacts import writing
from ris.errors import RisError
from ris.lab import config


def composed(conf: Path, overrides: list[str]) -> DictConfig:
    """Compose conf/config.yaml with overrides such as `experiment=demo` or `pca.n_components=64`.

    Raises:
        RisError: an unknown choice or key, or a value that is missing or out of range.
    """
    if not (conf / "config.yaml").is_file():
        raise RisError(f"{conf / 'config.yaml'} is missing; run from the project's root.")
    check_overrides(overrides, groups=[folder.name for folder in conf.iterdir()])
    try:
        with initialize_config_dir(str(conf.resolve()), version_base="1.3"):
            raw = compose("config", overrides)
        OmegaConf.resolve(raw)
        config.check(OmegaConf.to_container(raw, throw_on_missing=True))
    except (HydraException, OmegaConfBaseException) as error:
        told = " ".join(str(error).split()).rstrip(".")
        raise RisError(f"Cannot compose {conf} with {overrides}: {told}.") from error
    return raw


def check_overrides(arguments: Iterable[str], groups: Collection[str] = ()) -> None:
    """Check that each `key=value` names a key of params.yaml, one of Hydra's own, or one of `groups`.

    Raises:
        RisError: unknown key, told with the nearest right one, or an override that cannot be read.
    """
    assignments = [argument for argument in arguments if "=" in argument]
    try:
        overrides = OverridesParser.create().parse_overrides(assignments)
    except HydraException as error:
        raise RisError(f"Cannot read the overrides {assignments}: {str(error).splitlines()[0]}.") from error
    for key in (override.key_or_group for override in overrides):
        if key not in groups and not key.startswith(("hydra.", "hydra/")):
            config.check_key(key)


def main() -> None:
    """Write ./params.yaml."""
    try:
        raw = composed(Path("conf"), sys.argv[1:])
        with writing(Path("params.yaml")) as fresh:
            fresh.write_text(OmegaConf.to_yaml(raw))
    except (RisError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
