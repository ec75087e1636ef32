# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A vendored bundle runs where the package cannot be imported, and answers as the bundle it was made of."""

from __future__ import annotations

import ast
import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from radbundles.components.export import vendor_bundle
from radbundles.components.hub import bundle_workflow
from radbundles.components.phantom import write_phantoms

# Python reads this file before anything else.
BLOCK = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "radbundles":
            raise ModuleNotFoundError(f"{name} is not installed here")

sys.meta_path.insert(0, Blocked())
"""
# Imports every module of every copy, and looks every component up as MONAI does.
RESOLVE = """
import importlib, json, sys
from pathlib import Path
from pydoc import locate

def targets(value):
    if isinstance(value, dict):
        if isinstance(value.get("_target_"), str):
            yield value["_target_"]
        value = list(value.values())
    for one in value if isinstance(value, list) else ():
        yield from targets(one)

for folder in map(Path, sys.argv[1:]):
    sys.path.insert(0, str(folder))
    for path in sorted((folder / "scripts").rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        importlib.import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    for path in sorted((folder / "configs").glob("*.json")):
        for name in targets(json.loads(path.read_text())):
            assert not name.startswith("scripts.") or callable(locate(name)), f"{path.name}: {name}"
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.partition(".")[0] == "scripts"]:
        del sys.modules[name]
try:
    import radbundles
except ModuleNotFoundError:
    print("done without the package")
"""
VIT = {"kind": "vit", "patch_size": 16, "dim": 32, "depth": 1, "heads": 2}


@pytest.fixture(scope="module")
def vendored(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Copies of all bundles by name."""
    out = tmp_path_factory.mktemp("vendored")
    folders = sorted(path.parents[1] for path in (repository / "bundles").glob("*/configs/metadata.json"))
    return {folder.name: vendor_bundle(folder, out / folder.name).folder for folder in folders}


@pytest.fixture(scope="module")
def blocked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment of a Python that has no radbundles."""
    folder = tmp_path_factory.mktemp("blocked")
    (folder / "sitecustomize.py").write_text(BLOCK, encoding="utf-8")
    kept = {key: value for key, value in os.environ.items() if not key.startswith("RADBUNDLES")}
    return {**kept, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}


def run(*command: str, cwd: Path, env: dict[str, str]) -> str:
    done = subprocess.run([sys.executable, *command], cwd=cwd, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def test_modules_import_and_components_are_found_without_the_package(
    vendored: dict[str, Path], blocked: dict[str, str], tmp_path: Path
) -> None:
    told = run("-c", RESOLVE, *map(str, vendored.values()), cwd=tmp_path, env=blocked)
    assert told.splitlines()[-1] == "done without the package"


def test_nothing_in_the_code_or_the_configs_names_the_package(vendored: dict[str, Path]) -> None:
    for folder in vendored.values():
        for path in (folder / "scripts").rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom):
                    assert not (node.module or "").startswith("radbundles"), path
                elif isinstance(node, ast.Import):
                    assert not any(alias.name.startswith("radbundles") for alias in node.names), path
        for path in (folder / "configs").glob("*.json"):
            text = path.read_text(encoding="utf-8")
            assert '"radbundles.' not in text and "radbundles.require" not in text, path
        metadata = json.loads((folder / "configs" / "metadata.json").read_text(encoding="utf-8"))
        assert "radbundles" not in metadata["required_packages_version"]
        assert {"fire", "nibabel", "pydicom", "pytorch-ignite"} <= set(metadata["required_packages_version"])


def test_copy_holds_what_it_needs_and_no_more(vendored: dict[str, Path]) -> None:
    folder = vendored["ecamp_classification"]
    scripts = folder / "scripts"
    assert (scripts / "LICENSE").read_text() == (folder / "LICENSE").read_text()
    assert (scripts / "components" / "reports" / "page.css").is_file(), "named by a page that is named by a module"
    record = json.loads((folder / "docs" / "vendored.json").read_text(encoding="utf-8"))
    files = {path.relative_to(scripts).as_posix() for path in scripts.rglob("*") if path.is_file()} - {"LICENSE"}
    modules = {name.removeprefix("radbundles.").replace(".", "/") + ".py" for name in record["modules"]}
    assert {file for file in files if not file.endswith("__init__.py")} == modules | set(record["data"])
    assert not [name for name in modules if "dcxfm" in name or "zero_shot" in name or "export" in name]
    assert (vendored["dcxfm_dense"] / "scripts" / "components" / "zero_shot" / "prompts" / "chest.json").is_file()
    text = (folder / "docs" / "README.md").read_text(encoding="utf-8")
    assert "## Self-contained copy" in text and "PYTHONPATH" in text


def test_copy_trains_and_its_trained_bundle_answers_as_the_package_does(
    vendored: dict[str, Path], blocked: dict[str, str], tmp_path: Path
) -> None:
    data = write_phantoms(tmp_path / "data", count=24, seed=3, size=64, splits=(0.5, 0.25, 0.25))
    content = json.loads(data.read_text(encoding="utf-8"))
    for section in ("training", "validation", "test"):
        for place, item in enumerate(content[section]):
            item["labels"] = {"calcified": place % 2, "rotated": place // 2 % 2}
    data.write_text(json.dumps(content | {"label_names": ["calcified", "rotated"]}), encoding="utf-8")
    values: dict[str, Any] = {
        **{"dataset_dir": str(data.parent), "output_dir": str(tmp_path / "run"), "classes": ["calcified", "rotated"]},
        **{"image_size": 64, "stored_size": 72, "encoder": VIT, "epochs": 1, "epoch_batches": 2, "batch_size": 4},
    }
    configs = "['configs/train.json','configs/tiny.json']"
    options = [text for key, value in values.items() for text in (f"--{key}", str(value))]
    command = ["-m", "monai.bundle", "run", "--bundle_root", "."]
    run(*command, "--config_file", configs, *options, cwd=vendored["ecamp_classification"], env=blocked)

    trained, images = tmp_path / "run" / "bundle", tmp_path / "images"
    images.mkdir()
    for item in content["test"][:3]:
        shutil.copy(data.parent / item["image"], images)
    found = {"dataset_dir": str(images), "output_dir": str(tmp_path / "found"), "num_workers": "0"}
    options = [text for key, value in found.items() for text in (f"--{key}", value)]
    run(*command, "--config_file", "configs/inference.json", *options, cwd=trained, env=blocked)
    answers = table(tmp_path / "found" / "predictions.csv")

    own = tmp_path / "own"
    shutil.copytree(trained, own)
    for path in (own / "configs").glob("*.json"):
        path.write_text(path.read_text(encoding="utf-8").replace('"scripts.', '"radbundles.'), encoding="utf-8")
    again: dict[str, Any] = {**found, "output_dir": str(tmp_path / "again"), "num_workers": 0}
    bundle_workflow(own, ["inference"], **again).run()
    expected = table(tmp_path / "again" / "predictions.csv")
    assert len(answers) == 3 and answers == expected


@pytest.fixture
def minimal(tmp_path: Path, repository: Path) -> Path:
    """A bundle with one config to break."""
    folder = tmp_path / "minimal"
    (folder / "configs").mkdir(parents=True)
    shutil.copy(repository / "bundles" / "ecamp_classification" / "configs" / "metadata.json", folder / "configs")
    return folder


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"net": {"_target_": "radbundles.networks.Nothing"}}, "inference.json: net#_target_: radbundles.networks.No"),
        ({"net": {"_target_": "radbundles.nowhere.Thing"}}, "net#_target_: radbundles.nowhere.Thing is no public"),
        ({"names": "$from radbundles.transforms import NOTHING"}, "names: radbundles.transforms.NOTHING is no public"),
        ({"version": "$__import__('radbundles').__version__"}, "version.*needs radbundles itself"),
    ],
)
def test_what_the_package_does_not_have_is_named(
    content: dict[str, Any], told: str, minimal: Path, tmp_path: Path
) -> None:
    (minimal / "configs" / "inference.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ValueError, match=told):
        vendor_bundle(minimal, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_other_steps_than_the_preflight_stay(minimal: Path, tmp_path: Path) -> None:
    steps = ["$__import__('radbundles').require('>=0.1')", {"_target_": "radbundles.require", "spec": ">=0.1"}, "$1"]
    (minimal / "configs" / "inference.json").write_text(json.dumps({"initialize": steps}), encoding="utf-8")
    vendor_bundle(minimal, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "configs" / "inference.json").read_text()) == {"initialize": ["$1"]}


def test_what_cannot_be_vendored_is_refused(minimal: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no configs/metadata.json"):
        vendor_bundle(tmp_path, tmp_path / "out")
    (minimal / "configs" / "more.yaml").write_text("a: 1")
    with pytest.raises(ValueError, match=r"configs/more\.yaml is YAML"):
        vendor_bundle(minimal, tmp_path / "out")
    (minimal / "configs" / "more.yaml").unlink()
    content = {"rule": {"_target_": "radbundles.components.hub.check_class_names", "classes": ["a"]}}
    (minimal / "configs" / "inference.json").write_text(json.dumps(content), encoding="utf-8")
    vendor_bundle(minimal, tmp_path / "out")
    with pytest.raises(FileExistsError):
        vendor_bundle(minimal, tmp_path / "out")
    with pytest.raises(ValueError, match="has scripts already"):
        vendor_bundle(tmp_path / "out", tmp_path / "again")
