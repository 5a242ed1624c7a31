import os
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from ris.cli.app import PANELS

Ris = Callable[..., Any]
COMMANDS = [command.__name__ for commands in PANELS.values() for command in commands]
HEAVY = ("torch", "numpy", "pandas", "PIL", "cv2", "sklearn", "fastapi", "ris.engine")


def test_every_command_is_there(ris: Ris) -> None:
    asked = "build add remove sync search find duplicates evaluate audit info check export serve mcp"
    asked += " refit reencode restore relocate calibrate encoders"
    assert set(COMMANDS) == set(asked.split())
    ended = ris("--help")
    assert (ended.code, ended.err) == (0, "")
    for name in COMMANDS:
        assert re.search(rf"│ {name} ", ended.out)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(ris: Ris, name: str) -> None:
    for option in ("--help", "-h"):
        ended = ris(name, option)
        assert (ended.code, ended.err) == (0, "")
        assert re.search(rf"^ *Examples? *\n\s*(RIS_TOKEN=\S+ )?ris {name} ", ended.out, re.MULTILINE)
        assert "--json" in ended.out or name == "mcp"  # whose stdout is the protocol


def test_without_a_command_it_helps(ris: Ris) -> None:
    ended = ris()
    assert ended.code == 2
    assert "ris build photos photos.ris" in ended.out + ended.err


def test_an_unknown_command_is_wrong_usage(ris: Ris) -> None:
    ended = ris("serach")
    assert (ended.code, ended.out) == (2, "")
    assert "search" in ended.err


def test_the_version(ris: Ris) -> None:
    assert re.fullmatch(r"ris \d+\.\d+\.\d+\n", ris("--version").out)


@pytest.mark.parametrize("arguments", [["--help"], ["search", "--help"], ["--version"], ["--nonsense"]])
def test_help_comes_without_the_heavy_libraries(arguments: list[str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "ris.cli", *arguments], capture_output=True, text=True
    )
    imported = [
        line.rpartition("|")[2].strip() for line in ended.stderr.splitlines() if "import time:" in line
    ]
    assert "ris.cli.app" in imported
    assert not [name for name in imported if name in HEAVY or name.split(".")[0] in HEAVY]


def test_the_shell_completes_commands_and_options() -> None:
    for words, position, expected in (
        ("ris du", "1", "duplicates"),
        ("ris search --max-d", "2", "--max-distance"),
    ):
        completed = subprocess.run(
            [sys.executable, "-m", "ris.cli"],
            capture_output=True,
            text=True,
            env={**os.environ, "_RIS_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": position},
        )
        assert completed.stdout.split() == [expected]
    shown = subprocess.run(
        [sys.executable, "-m", "ris.cli"],
        capture_output=True,
        text=True,
        env={**os.environ, "_RIS_COMPLETE": "source_zsh"},
    )
    assert "compdef" in shown.stdout
