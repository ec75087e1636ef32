# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The console command starts at once: the quick commands import neither torch nor MONAI."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import radbundles
from radbundles.cli import COMMANDS

HEAVY = {"torch", "monai", "transformers", "ignite", "matplotlib", "tensorboard"}
QUICK = (
    ["--help"],
    ["--version"],
    ["list"],
    ["list", "--json"],
    ["doctor"],
    ["doctor", "--json"],
    ["card", "--all", "--check"],
)
# Runs the console command, then tells what it loaded and how much processor time it took. Processor time, unlike the
# clock, does not depend on what else the machine does.
PROBE = """
import json, sys, time
from radbundles.cli import main
try:
    main()
except SystemExit:
    pass
print(json.dumps({"modules": sorted(sys.modules), "seconds": time.process_time()}), file=sys.stderr)
"""


def probe(*arguments: str) -> dict[str, object]:
    run = subprocess.run([sys.executable, "-c", PROBE, *arguments], capture_output=True, text=True, check=True)
    answer: dict[str, object] = json.loads(run.stderr.splitlines()[-1])
    return answer


@pytest.mark.parametrize("arguments", QUICK, ids=" ".join)
def test_quick_commands_load_no_heavy_package(arguments: list[str]) -> None:
    modules = probe(*arguments)["modules"]
    assert isinstance(modules, list) and "radbundles.cli.app" in modules
    assert not HEAVY & set(modules)


@pytest.mark.parametrize("arguments", [["--help"], ["list"]], ids=" ".join)
def test_quick_commands_take_less_than_a_second(arguments: list[str]) -> None:
    seconds = [probe(*arguments)["seconds"] for _ in range(3)]
    assert min(float(str(second)) for second in seconds) < 1.0


def test_every_command_file_is_registered(repository: Path) -> None:
    files = {path.name.removesuffix("_command.py") for path in (repository / "src/radbundles/cli").glob("*_command.py")}
    assert set(COMMANDS) == files


def test_help_names_every_command() -> None:
    run = subprocess.run([sys.executable, "-m", "radbundles", "--help"], capture_output=True, text=True, check=True)
    for name in COMMANDS:
        assert f" {name} " in run.stdout


def test_version_is_the_packages() -> None:
    run = subprocess.run([sys.executable, "-m", "radbundles", "--version"], capture_output=True, text=True, check=True)
    assert run.stdout == f"radbundles {radbundles.__version__}\n"


def test_console_script_points_to_main() -> None:
    (script,) = entry_points(group="console_scripts", name="radbundles")
    assert script.value == "radbundles.cli:main"
