# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Follow the pages of the documentation, block by block as they stand, in an environment with the wheel alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.hub_server import LocalHub

from radbundles.components.data.tokenizer_training import ReportCorpus, train_tokenizer
from radbundles.components.hub.pack import pack_bundle
from radbundles.components.hub.pack_run import pack_run
from radbundles.components.hub.workflow import bundle_workflow
from radbundles.components.phantom import write_phantoms

BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```", re.DOTALL | re.MULTILINE)
NAME = "your-org/chest_findings"

VIT = {"kind": "vit", "patch_size": 8, "dim": 16, "depth": 1, "heads": 2}
CLASSES = ["left lung", "heart"]
# Settings of a small network, trained on labels; the others are made small by tiny.json.
SMALL: dict[str, dict[str, Any]] = {
    "ecamp_classification": {"image_size": 64, "encoder": VIT},
    "ecamp_segmentation": {"image_size": 64, "encoder": VIT, "decoder_widths": [8, 8, 8]},
    "ecamp_detection": {"image_size": 64, "encoder": VIT, "detector": {"kind": "retinanet", "out_channels": 16}},
    "ecamp_pretrain": {},
    "dcxfm_pretrain": {},
    "dcxfm_dense": {"stage1_weights": None},
}

Follow = Callable[[str], dict[str, str]]


@pytest.fixture(scope="session")
def wheels(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the wheel of this checkout."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheels")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(repository / name, source / name)
    for name in ("src", "bundles", "components", "losses", "networks", "transforms"):
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "eval", "models")
        shutil.copytree(repository / name, source / name, symlinks=True, ignore=ignored)
    command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(out), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return out


@pytest.fixture(scope="session")
def bin_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Programs of an environment that has every package of this one but ours."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    (theirs,) = folder.glob("lib/python*/site-packages")
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not re.match(r"__editable__|radbundles|pip\b|pip-|.*\.pth$", entry.name):
            if (theirs / entry.name).is_dir():  # the setuptools that old versions of Python give to an environment
                shutil.rmtree(theirs / entry.name)
            (theirs / entry.name).symlink_to(entry)
    for old in theirs.glob("setuptools-*"):
        if not old.is_symlink():
            shutil.rmtree(old)
    return folder / "bin"


@pytest.fixture(scope="session")
def trained(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of drawn films, as its training has left it and its maker would publish it."""
    folder = tmp_path_factory.mktemp("maker")
    datalist = write_phantoms(folder, count=60, seed=7, size=128, splits=(0.6, 0.2, 0.2))
    bundle_workflow(
        repository / "bundles" / "ecamp_classification",
        ["train", "tiny"],
        kind="train",
        dataset_dir=str(folder),
        datalist=str(datalist),
        output_dir=str(folder / "run"),
        classes=["effusion", "cardiomegaly"],
        epochs=1,
        epoch_batches=8,
    ).run()
    bundle = (folder / "run" / "bundle").rename(folder / "chest_findings")
    path = bundle / "configs" / "metadata.json"
    metadata = json.loads(path.read_text(encoding="utf-8"))
    metadata["data_sets"] = {**metadata.get("data_sets", {}), "trained_on": []}
    path.write_text(json.dumps(metadata, indent=4, ensure_ascii=False) + "\n", encoding="utf-8")
    return bundle


@pytest.fixture(scope="session")
def user(
    bin_folder: Path, wheels: Path, trained: Path, repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, Follow]]:
    """An empty folder, and what follows a page in it; the bundle that the pages name is on a Hub on loopback."""
    from radbundles.components.publish import publish_bundle

    folder, home = tmp_path_factory.mktemp("a new user"), tmp_path_factory.mktemp("home")
    with LocalHub() as hub:
        environment = {
            **{key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")},
            **hub.environment(home / "hf"),
            "HOME": str(home),
            "PATH": os.pathsep.join((str(bin_folder), os.environ["PATH"])),
            "OMP_NUM_THREADS": "1",
            "PYTHONWARNINGS": "ignore",
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(wheels),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }
        with pytest.MonkeyPatch.context() as patch:
            from tests.hub_client import send_client_to

            with send_client_to(hub, home / "maker", patch):
                publish_bundle(trained, NAME, dry_run=False, checks=())

        def follow(name: str) -> dict[str, str]:
            page = (repository / "docs" / f"{name}.md").read_text(encoding="utf-8")
            said = {}
            for language, block in BLOCK.findall(page):
                command = ["bash", "-e", "-c", block] if language == "bash" else ["python", "-c", block]
                if language == "python":
                    command[0] = str(bin_folder / "python")
                done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
                assert done.returncode == 0, f"{block}\n{done.stdout[-3000:]}{done.stderr[-4000:]}"
                said[block] = done.stdout + done.stderr
            return said

        yield folder, follow


@pytest.fixture(scope="session")
def zoo(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """All bundles with small weights, as their makers would publish them."""
    folder = tmp_path_factory.mktemp("zoo")
    tokenizer = folder / "tokenizer.json"
    train_tokenizer(ReportCorpus(write_phantoms(folder, count=8, seed=2, size=64)), vocab_size=300, out=tokenizer)
    made = {}
    for name, small in SMALL.items():
        root, weights = repository / "bundles" / name, folder / f"{name}.pt"
        data = {"dataset_dir": str(folder), "output_dir": str(folder / "run")}
        if "encoder" in small:
            get = bundle_workflow(root, ["inference"], classes=CLASSES, **small, **data).parser.get_parsed_content
            torch.save(get("network").state_dict(), weights)
            out = pack_run(bundle_root=root, out=folder / name, weights=weights, settings=small, classes=CLASSES)
        else:
            small = {**small, "tokenizer": str(tokenizer)}
            parser = bundle_workflow(root, ["inference", "tiny"], tokenizer=str(tokenizer), **data).parser
            torch.save(parser.get_parsed_content("network").state_dict(), weights)
            out = pack_bundle(
                root, ["train", "tiny"], folder / name, weights=weights, tokenizer=tokenizer, overrides=small
            )
        path = out / "configs" / "metadata.json"
        metadata = json.loads(path.read_text(encoding="utf-8"))
        metadata["data_sets"]["trained_on"] = []
        path.write_text(json.dumps(metadata, indent=4, ensure_ascii=False) + "\n", encoding="utf-8")
        made[name] = out
    return made
