# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from radbundles.components.audit import audit_bundle
from radbundles.components.audit.policy import audit_policy

BUNDLES = sorted(folder.name for folder in (Path(__file__).parents[3] / "bundles").iterdir() if folder.is_dir())


@pytest.mark.parametrize("name", BUNDLES)
def test_own_bundles_pass(repository: Path, name: str) -> None:
    report = audit_bundle(repository / "bundles" / name)
    assert report.passed and not report.findings, [str(finding) for finding in report.findings]
    assert set(report.targets) == {"monai", "radbundles", "torch"}
    assert report.expressions and report.files
    assert json.loads(json.dumps(report.as_dict()))["passed"] is True


def test_packed_bundle_passes_with_its_weights(tmp_path: Path, repository: Path) -> None:
    folder = tmp_path / "chest_classification"
    shutil.copytree(repository / "bundles" / "ecamp_classification", folder)
    (folder / "models").mkdir()
    state = {"encoder.weight": torch.zeros(4, 4)}
    torch.save(state, folder / "models" / "model.pt")
    save_file(state, folder / "models" / "model.safetensors")
    (folder / "models" / "tokenizer.json").write_text('{"vocab": {"$": 0, "@": 1, "%": 2, "/": 3}}', encoding="utf-8")
    (folder / "docs" / "packed.json").write_text('{"overrides": {"epochs": "$1 + 1"}}', encoding="utf-8")
    (folder / "manifest.json").write_text('{"files": {"configs/../x": {}}}', encoding="utf-8")
    report = audit_bundle(folder)
    assert report.passed and not report.findings, [str(finding) for finding in report.findings]
    assert [weights.file for weights in report.weights] == ["models/model.pt", "models/model.safetensors"]


def test_foreign_bundle_with_scripts_gives_a_report_for_people(tmp_path: Path) -> None:
    folder = tmp_path / "spleen"
    for name in ("configs", "scripts", "docs", "models"):
        (folder / name).mkdir(parents=True)
    inference = {
        "imports": ["$import glob", "$import os", "$import scripts"],
        "bundle_root": ".",
        "output_dir": "$@bundle_root + '/eval'",
        "dataset_dir": "/workspace/data/spleen",
        "datalist": "$list(sorted(glob.glob(@dataset_dir + '/*.nii.gz')))",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "network_def": {"_target_": "scripts.networks.Net", "channels": 2},
        "network": "$@network_def.to(@device)",
        "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [96, 96, 96]},
        "handlers": [{"_target_": "CheckpointLoader", "load_path": "$@bundle_root + '/models/model.pt'"}],
        "evaluator": {"_target_": "SupervisedEvaluator", "network": "@network", "val_handlers": "@handlers"},
        "evaluating": ["$setattr(torch.backends.cudnn, 'benchmark', True)", "$@evaluator.run()"],
    }
    (folder / "configs" / "inference.json").write_text(json.dumps(inference), encoding="utf-8")
    (folder / "configs" / "metadata.json").write_text('{"version": "0.1.0"}', encoding="utf-8")
    (folder / "scripts" / "__init__.py").write_text("", encoding="utf-8")
    (folder / "scripts" / "networks.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w')\n", encoding="utf-8")
    report = audit_bundle(folder)
    places = {(finding.file, finding.key) for finding in report.refused}
    assert places == {
        ("scripts/__init__.py", None),
        ("scripts/networks.py", None),
        ("configs/inference.json", "imports#2"),
        ("configs/inference.json", "dataset_dir"),
        ("configs/inference.json", "datalist"),
        ("configs/inference.json", "network_def#_target_"),
        ("configs/inference.json", "evaluating#0"),
    }
    assert report.targets["of the bundle"] == ("scripts.networks.Net",)
    assert not (tmp_path / "mark").exists() and "scripts" not in sys.modules
    # What the user has looked into can be let through, name by name; a fault of the config cannot.
    allow = ["scripts/__init__.py", "scripts/networks.py", "scripts", "scripts.networks.Net"]
    allow += ["setattr", "torch.backends.cudnn"]
    assert {finding.key for finding in audit_bundle(folder, allow=allow).refused} == {"dataset_dir", "datalist"}


def test_audit_imports_neither_torch_nor_monai_nor_what_a_bundle_names(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "wsgiref_like.json").write_text(
        '{"imports": ["$import wsgiref.util"], "x": {"_target_": "chunk.Chunk"}}'
    )
    code = (
        "import sys; from radbundles.components.audit import audit_bundle\n"
        f"assert audit_bundle({str(repository / 'bundles' / 'dcxfm_dense')!r}).passed\n"
        f"assert not audit_bundle({str(tmp_path)!r}).passed\n"
        "print(sorted({'torch', 'monai', 'numpy', 'transformers', 'wsgiref', 'chunk'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "[]"


def test_listed_classes_of_monai_are_those_that_monai_defines() -> None:
    spec = importlib.util.find_spec("monai")
    assert spec is not None and spec.submodule_search_locations
    root = Path(spec.submodule_search_locations[0])
    listed = json.loads((Path(audit_policy.__code__.co_filename).parent / "monai_names.json").read_text())["packages"]
    missing = []
    for package, modules in listed.items():
        for module, names in modules.items():
            file = root.joinpath(*package.split(".")[1:], *module.split("."))
            source = (
                file.with_suffix(".py") if file.with_suffix(".py").is_file() else file / "__init__.py"
            ).read_text()
            lines = re.findall(r"^(?:class|def) (\w+)|^((?:\w+ = )+)", source, re.MULTILINE)
            known = {word for line in lines for word in re.findall(r"\w+", " ".join(line))}
            missing += [f"{package}.{module}.{name}" for name in names if name not in known]
    assert not missing


def test_listed_names_of_radbundles_exist_and_reach_no_module() -> None:
    import radbundles

    root = Path(radbundles.__file__).parent
    for package, functions in audit_policy().lists["radbundles"]["functions"].items():
        place = root.joinpath(*package.split(".")[1:])
        file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        source = file.read_text(encoding="utf-8")
        assert [name for name in functions if name not in source] == [], package
    names = {name for name in audit_policy().targets if name.startswith("radbundles.")}
    assert "radbundles.components.hub.pack_run" in names and "radbundles.components.data.SeededDataset" in names
    modules = {".".join(("radbundles", *path.relative_to(root).with_suffix("").parts)) for path in root.rglob("*.py")}
    assert not names & modules
