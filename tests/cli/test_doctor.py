# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""``radbundles doctor``."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import radbundles.cli.doctor_command  # noqa: F401
from radbundles.cli.app import app
from radbundles.components.hub import doctor as examination
from radbundles.components.hub.codecs import Codec
from radbundles.components.hub.machine import Machine

METADATA = {"version": "0.2.0", "required_packages_version": {"pydicom": "2.0.0"}}


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["doctor", *arguments])


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    root = tmp_path / "toy"
    for name in ("LICENSE", "docs/README.md", "docs/data_license.txt", "configs/train.json"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("{}")
    (root / "configs" / "metadata.json").write_text(json.dumps(METADATA))
    return root


def test_sound_installation_passes() -> None:
    result = run()
    assert result.exit_code == 0, result.output
    assert f"torch                           {version('torch')}" in result.stdout
    assert "Nothing is broken." in result.stdout


def test_json_tells_the_same(toy: Path) -> None:
    result = run("--json", str(toy))
    report = json.loads(result.stdout)
    assert result.exit_code == 0 and report["ok"] is True and report["problems"] == []
    assert {package["name"]: package["installed"] for package in report["packages"]}["monai"] == version("monai")
    assert [bundle["name"] for bundle in report["bundles"]] == ["toy"]
    assert report["bundles"][0]["weights"]["file"] is None
    assert any(note.startswith("toy: no weights shipped: train them with") for note in report["notes"])


def test_broken_bundle_fails_and_is_named(toy: Path) -> None:
    (toy / "LICENSE").unlink()
    result = run(str(toy))
    assert result.exit_code == 1
    assert "toy: LICENSE is missing" in result.stdout and "Broken: 1." in result.stdout


def test_damaged_weights_fail(toy: Path) -> None:
    (toy / "models").mkdir()
    (toy / "models" / "model.pt").write_bytes(b"damaged")
    (toy / "large_files.yml").write_text(
        "large_files:\n- {path: models/model.pt, url: x, hash_val: abc, hash_type: sha256}\n"
    )
    result = run(str(toy))
    assert result.exit_code == 1
    assert "checksum WRONG" in result.stdout


def test_package_outside_its_range_fails(monkeypatch: pytest.MonkeyPatch, toy: Path) -> None:
    monkeypatch.setattr(examination, "requires", lambda name: ["torch>=99", "no-such-package", "ruff; extra == 'dev'"])
    report = json.loads(run("--json", str(toy)).stdout)
    assert report["ok"] is False
    no_such, torch = report["problems"]
    assert torch == f"radbundles needs torch >=99, but {version('torch')} is installed: pip install 'torch>=99'"
    assert "no-such-package" in no_such and "it is not installed" in no_such
    assert len(report["packages"]) == 2


def test_missing_codec_is_a_note_with_the_mend(monkeypatch: pytest.MonkeyPatch, toy: Path) -> None:
    lossless = Codec("1.2.840.10008.1.2.4.70", "JPEGLosslessSV1", False, (), None, "pip install python-gdcm")
    monkeypatch.setattr(examination, "list_codecs", lambda: [lossless])
    result = run(str(toy))
    assert result.exit_code == 0
    assert "DICOM files in JPEGLosslessSV1 need: pip install python-gdcm" in result.stdout


def test_processor_build_beside_a_gpu_is_a_note(monkeypatch: pytest.MonkeyPatch, toy: Path) -> None:
    machine = Machine(python="3.11.0", system="Linux x86_64", cores=8, memory=None, gpus=("NVIDIA Z9, 81920 MiB",))
    package = examination.Package("torch", ">=2.8", "2.13.0+cpu", True)
    monkeypatch.setattr(examination, "describe_machine", lambda: machine)
    monkeypatch.setattr(examination, "_packages", lambda problems: (package,))
    result = run(str(toy))
    assert "torch 2.13.0+cpu is a CPU build and leaves NVIDIA Z9, 81920 MiB idle" in result.stdout


def test_unknown_bundle_is_a_usage_error() -> None:
    result = run("no_such_bundle")
    assert result.exit_code == 2
    assert "no_such_bundle" in result.output


def test_package_that_is_not_installed_is_told(tmp_path: Path, repository: Path) -> None:
    """A copy of the sources on the path, without metadata, in an interpreter that sees no site-packages of ours."""
    shutil.copytree(repository / "src" / "radbundles", tmp_path / "radbundles")
    code = (
        "import importlib.metadata as metadata\n"
        "real = metadata.requires\n"
        "def requires(name):\n"
        "    if name == 'radbundles':\n"
        "        raise metadata.PackageNotFoundError(name)\n"
        "    return real(name)\n"
        "metadata.requires = requires\n"
        "from radbundles.components.hub.doctor import diagnose\n"
        "print(diagnose().problems[0])\n"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert run.stdout.startswith("radbundles is imported from a folder that is not installed")
