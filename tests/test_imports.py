# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Imports run one way, light modules stay light, and the four folders import only as parts of the package."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

FOLDERS = ("components", "losses", "networks", "transforms")
# Folder to what it must never import. Losses, networks and transforms know nothing of those who use them.
FORBIDDEN = {
    "components": ("bundles", "cli", "demo"),
    "losses": ("bundles", "cli", "components", "demo"),
    "networks": ("bundles", "cli", "components", "demo"),
    "transforms": ("bundles", "cli", "components", "demo"),
}


def imported_modules(source: str, package: str) -> set[str]:
    """Every module that ``source`` imports anywhere in it, also within functions, by absolute name."""
    modules = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: 1 - node.level or None]) if node.level else ""
            stem = ".".join(filter(None, (base, node.module)))
            modules |= {f"{stem}.{alias.name}" for alias in node.names} | {stem}
    return modules


def python_files(folder: Path) -> list[Path]:
    files = sorted(folder.rglob("*.py"))
    assert files, f"no Python files in {folder}"
    return files


def package_of(path: Path, repository: Path) -> str:
    return ".".join(("radbundles", *path.relative_to(repository).parent.parts))


@pytest.mark.parametrize("folder", FOLDERS)
def test_imports_run_one_way(folder: str, repository: Path) -> None:
    offences = []
    for path in python_files(repository / folder):
        for module in imported_modules(path.read_text(encoding="utf-8"), package_of(path, repository)):
            parts = module.split(".")
            if parts[0] == "radbundles" and len(parts) > 1 and parts[1] in FORBIDDEN[folder]:
                offences.append(f"{path.relative_to(repository)} imports {module}")
    assert not offences


def test_the_walk_sees_every_kind_of_import() -> None:
    source = """
import radbundles.cli.app
def late():
    from radbundles import components
    from .. import cli
    from ..components.data import datalist
"""
    assert {"radbundles.cli.app", "radbundles.components", "radbundles.cli", "radbundles.components.data"} <= (
        imported_modules(source, "radbundles.networks")
    )


@pytest.mark.parametrize("folder", FOLDERS)
def test_nothing_imports_a_folder_as_a_top_level_module(folder: str, repository: Path) -> None:
    files = [path for name in (*FOLDERS, "tests") for path in (repository / name).rglob("*.py")]
    offences = [
        str(path.relative_to(repository))
        for path in files
        if any(
            module.split(".")[0] == folder
            for module in imported_modules(path.read_text(encoding="utf-8"), package_of(path, repository))
        )
    ]
    assert not offences


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_imported_as_a_top_level_module_names_the_right_import(folder: str, repository: Path) -> None:
    run = subprocess.run([sys.executable, "-c", f"import {folder}"], cwd=repository, capture_output=True, text=True)
    assert run.returncode != 0
    assert f"ImportError: import radbundles.{folder}, not {folder}" in run.stderr


LIGHT = (
    "radbundles",
    "radbundles.cli",
    "radbundles.cli.app",
    "radbundles.components",
    "radbundles.components.export",
    "radbundles.components.hub",
)


@pytest.mark.parametrize("module", LIGHT)
def test_light_modules_import_neither_torch_nor_monai(module: str) -> None:
    code = f"import {module}, sys, json; print(json.dumps(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(run.stdout))
    assert module in loaded
    assert not loaded & {"torch", "monai", "transformers", "ignite", "matplotlib"}


EXTRAS = ("", "jpeg", "onnx", "openai")
# Distributions whose name is not that of the module they bring.
DISTRIBUTIONS = {"PIL": "pillow", "ignite": "pytorch-ignite", "yaml": "pyyaml"}


def test_every_third_party_import_is_a_declared_dependency(repository: Path) -> None:
    requirements = map(Requirement, requires("radbundles") or [])
    declared = {
        item.name.replace("-", "_")
        for item in requirements
        if not item.marker or any(item.marker.evaluate({"extra": extra}) for extra in EXTRAS)
    }
    undeclared = set()
    for folder in (*FOLDERS, "src"):  # the walk does not enter the links under src
        for path in python_files(repository / folder):
            for module in imported_modules(path.read_text(encoding="utf-8"), package_of(path, repository)):
                name = module.split(".")[0]
                if name not in sys.stdlib_module_names and name != "radbundles":
                    if DISTRIBUTIONS.get(name, name).replace("-", "_") not in declared:
                        undeclared.add(f"{path.relative_to(repository)} imports {name}")
    assert not undeclared
