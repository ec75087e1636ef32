# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A download is whole, compared with its manifest and audited, or there is nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.hub_server import TOKEN, LocalHub
from typer.testing import CliRunner

import radbundles.cli.download_command as download_command
from radbundles.cli.app import app
from radbundles.components.hub import AuditError, ManifestError, download_bundle, fetch_bundle, write_manifest

assert download_command  # its import is what registers the command

REPO = "someone/lungs_classification"


@pytest.fixture
def folder(repository: Path, tmp_path: Path) -> Path:
    """A bundle with a file of weights, which nobody reads here, and without a manifest."""
    source = repository / "bundles" / "ecamp_classification"
    folder = Path(shutil.copytree(source, tmp_path / "published" / "lungs_classification"))
    (folder / "models").mkdir()
    header = json.dumps({"a": {"dtype": "U8", "shape": [80], "data_offsets": [0, 80]}}).encode()
    weights = len(header).to_bytes(8, "little") + header + bytes(range(80))
    (folder / "models" / "model.safetensors").write_bytes(weights)
    return folder


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An empty folder to download into."""
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


def content(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_download_is_the_published_folder_byte_for_byte(folder: Path, place: Path, local_hub: LocalHub) -> None:
    write_manifest(folder)
    commit = local_hub.put(REPO, folder, tag="0.1.0")
    (folder / "LICENSE").write_text("later", encoding="utf-8")
    local_hub.put(REPO, folder)
    found = fetch_bundle(REPO, revision="0.1.0", out=place / "mine")
    assert (found.folder, found.commit, found.version, found.listed) == (place / "mine", commit, "0.1.0", True)
    got = content(place / "mine")
    assert got.pop(".gitattributes")
    assert got == local_hub.files(REPO, "0.1.0")
    assert [path.name for path in place.iterdir()] == ["mine"]


def test_a_changed_blob_leaves_nothing(folder: Path, place: Path, local_hub: LocalHub) -> None:
    write_manifest(folder)
    local_hub.put(REPO, folder, tag="0.1.0")
    weights = (folder / "models" / "model.safetensors").read_bytes()
    local_hub.serve_instead(REPO, "models/model.safetensors", weights[:-1] + b"x")
    with pytest.raises(ManifestError, match=r"models/model.safetensors has the sha256 \w+, not"):
        download_bundle(REPO, revision="0.1.0", out=place / "mine")
    assert not list(place.iterdir())


def test_a_bundle_that_the_audit_refuses_leaves_nothing_and_is_not_run(
    folder: Path, place: Path, local_hub: LocalHub
) -> None:
    path = folder / "configs" / "inference.json"
    hostile = json.loads(path.read_text(encoding="utf-8")) | {"imports": [f"$open({str(place / 'marker')!r}, 'w')"]}
    path.write_text(json.dumps(hostile, indent=4), encoding="utf-8")
    write_manifest(folder)
    local_hub.put(REPO, folder, tag="0.1.0")
    with pytest.raises(AuditError, match=r"the audit refuses bundle someone/.*\n- configs/inference.json: imports"):
        download_bundle(REPO, revision="0.1.0", out=place / "mine")
    assert not list(place.iterdir())


def test_a_connection_that_breaks_off_leaves_nothing(folder: Path, place: Path, local_hub: LocalHub) -> None:
    local_hub.put(REPO, folder, tag="0.1.0")
    local_hub.drop("GET", "model.safetensors", times=None)
    with pytest.raises(OSError, match=f"{REPO} at 0.1.0 cannot be had from the Hub"):
        download_bundle(REPO, revision="0.1.0", out=place / "mine")
    assert not list(place.iterdir())


def test_what_is_no_bundle_leaves_nothing(folder: Path, place: Path, local_hub: LocalHub) -> None:
    (folder / "configs" / "metadata.json").unlink()
    commit = local_hub.put(REPO, folder)
    with pytest.raises(ValueError, match=f"{REPO} at {commit} is no bundle: configs/metadata.json cannot be read"):
        download_bundle(REPO, revision=commit, out=place / "mine")
    assert not list(place.iterdir())


def test_a_folder_that_is_there_is_left_alone(place: Path, local_hub: LocalHub) -> None:
    (place / "mine").mkdir()
    with pytest.raises(FileExistsError, match="is there already: name another folder"):
        download_bundle(REPO, revision="0.1.0", out=place / "mine")
    with pytest.raises(ValueError, match="'lungs' is no ORG/NAME"):
        download_bundle("lungs", out=place / "other")
    assert not local_hub.requests and [path.name for path in place.iterdir()] == ["mine"]


def test_the_command_tells_folder_version_and_commit(
    folder: Path, place: Path, local_hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_manifest(folder)
    commit = local_hub.put(REPO, folder, tag="0.1.0")
    monkeypatch.chdir(place)
    result = CliRunner().invoke(app, ["download", REPO, "--revision", "0.1.0"])
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    assert result.stdout == f"lungs_classification: {REPO} 0.1.0, commit {commit}\n"
    assert (place / "lungs_classification" / "configs" / "inference.json").is_file()
    assert TOKEN not in result.output


def test_the_command_warns_of_what_is_not_sure(folder: Path, place: Path, local_hub: LocalHub) -> None:
    commit = local_hub.put(REPO, folder)
    result = CliRunner().invoke(app, ["download", REPO, "--out", str(place / "mine")])
    assert result.exit_code == 0, result.output
    assert f"commit {commit} is taken, the newest" in result.stderr
    assert f"{REPO} has no manifest.json: its files were compared with nothing" in result.stderr


def test_the_command_tells_refused_from_not_to_be_had(folder: Path, place: Path, local_hub: LocalHub) -> None:
    (folder / "configs" / "more.py").write_text("print()", encoding="utf-8")
    local_hub.put(REPO, folder, tag="0.1.0")
    refused = CliRunner().invoke(app, ["download", REPO, "--revision", "0.1.0", "--out", str(place / "mine")])
    assert refused.exit_code == 1 and "configs/more.py" in refused.stderr and "Traceback" not in refused.output
    missing = CliRunner().invoke(app, ["download", REPO, "--revision", "0.2.0", "--out", str(place / "mine")])
    assert missing.exit_code == 2 and "has no revision '0.2.0'" in missing.stderr
    assert not list(place.iterdir())
