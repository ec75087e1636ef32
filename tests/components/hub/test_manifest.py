# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A manifest lists every file of a bundle, and tells what is missing, changed or foreign."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from pathlib import Path

import pytest

from radbundles.components.hub.manifest import MANIFEST, check_manifest, write_manifest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    (folder / "configs" / "metadata.json").write_text('{"version": "1.2.3"}', encoding="utf-8")
    (folder / "models" / "model.pt").write_bytes(b"weights")
    return folder


def edit(folder: Path, **files: object) -> None:
    content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    content["files"].update(files)
    (folder / MANIFEST).write_text(json.dumps(content), encoding="utf-8")


def test_it_lists_name_versions_and_every_file_with_its_checksum_and_bytes(folder: Path) -> None:
    content = json.loads(write_manifest(folder).read_text(encoding="utf-8"))
    assert (content["bundle"], content["version"]) == ("mine", "1.2.3")
    assert list(content["files"]) == ["configs/metadata.json", "models/model.pt"]
    assert content["files"]["models/model.pt"] == {"sha256": hashlib.sha256(b"weights").hexdigest(), "bytes": 7}
    assert check_manifest(folder) == []


def test_writing_it_again_changes_nothing(folder: Path) -> None:
    first = write_manifest(folder).read_bytes()
    assert write_manifest(folder).read_bytes() == first


def test_what_the_hub_and_git_put_beside_the_files_is_ignored(folder: Path) -> None:
    write_manifest(folder)
    (folder / ".gitattributes").write_text("*.pt filter=lfs", encoding="utf-8")
    for name in (".cache/huggingface/download", ".git"):
        (folder / name).mkdir(parents=True)
        (folder / name / "state").write_text("x", encoding="utf-8")
    assert check_manifest(folder) == []


def test_a_missing_a_changed_and_a_foreign_file_are_each_named(folder: Path) -> None:
    (folder / "LICENSE").write_text("text", encoding="utf-8")
    write_manifest(folder)
    (folder / "LICENSE").unlink()
    (folder / "models" / "model.pt").write_bytes(b"WEIGHTS")
    (folder / "models" / ".gitattributes").write_text("hidden below the root", encoding="utf-8")
    missing, changed, foreign = check_manifest(folder)
    assert missing.startswith("LICENSE is missing")
    assert changed.startswith("models/model.pt has the sha256 ")
    assert foreign == "models/.gitattributes is not listed in manifest.json: remove it"


def test_another_size_is_told_in_bytes(folder: Path) -> None:
    write_manifest(folder)
    (folder / "models" / "model.pt").write_bytes(b"longer weights")
    assert check_manifest(folder)[0].startswith("models/model.pt has 14 bytes, not 7")


@pytest.mark.parametrize(
    "path", ["../secret", "/etc/hostname", "configs/../../secret", "./LICENSE", "a\\b", "C:/x", "a//b", ""]
)
def test_paths_that_leave_the_bundle_are_refused_and_not_read(folder: Path, path: str) -> None:
    (folder.parent / "secret").write_bytes(b"s")
    write_manifest(folder)
    edit(folder, **{path: {"sha256": hashlib.sha256(b"s").hexdigest(), "bytes": 1}})
    assert f"manifest.json lists {path!r}, which is no relative path inside the bundle" in check_manifest(folder)


def test_a_link_to_a_folder_hides_no_files(folder: Path) -> None:
    write_manifest(folder)
    (folder.parent / "elsewhere").mkdir()
    (folder / "scripts").symlink_to(folder.parent / "elsewhere")
    assert check_manifest(folder) == ["scripts is not listed in manifest.json: remove it"]
    with pytest.raises(ValueError, match="scripts in .* is a link"):
        write_manifest(folder)


def test_another_version_than_that_of_the_metadata_is_a_fault(folder: Path) -> None:
    path = write_manifest(folder)
    path.write_text(path.read_text(encoding="utf-8").replace("1.2.3", "1.2.4"), encoding="utf-8")
    assert check_manifest(folder) == ["manifest.json is of version '1.2.4', but configs/metadata.json of '1.2.3'"]


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"version": "1"}', '{"version": "1", "files": []}', "\xff", "[" * 100_000]
)
def test_what_is_no_manifest_is_one_fault(folder: Path, content: str) -> None:
    (folder / MANIFEST).write_bytes(content.encode("latin-1"))
    (fault,) = check_manifest(folder)
    assert fault.startswith("manifest.json is no manifest with `version` and `files`")


def test_an_entry_without_a_checksum_is_a_fault(folder: Path) -> None:
    write_manifest(folder)
    edit(folder, **{"models/model.pt": None})
    assert check_manifest(folder)[0].startswith("models/model.pt has no `sha256` in manifest.json")


def test_no_manifest_is_a_fault(folder: Path) -> None:
    assert check_manifest(folder) == ["manifest.json is missing"]


def test_metadata_without_a_version_gets_no_manifest(folder: Path) -> None:
    (folder / "configs" / "metadata.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match="`version` is missing"):
        write_manifest(folder)
    assert not (folder / MANIFEST).exists()


def test_large_files_are_hashed_in_pieces(folder: Path) -> None:
    with (folder / "models" / "model.pt").open("wb") as file:
        file.truncate(64 << 20)
    tracemalloc.start()
    write_manifest(folder)
    assert check_manifest(folder) == []
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


def test_links_are_not_followed(folder: Path) -> None:
    """A device without end has no bytes by its size, and would be read for ever."""
    write_manifest(folder)
    (folder / "notes.txt").symlink_to("/dev/zero")
    edit(folder, **{"notes.txt": {"sha256": "0" * 64, "bytes": 0}})
    (fault,) = check_manifest(folder)
    assert "notes.txt is a link" in fault


def test_faults_hold_no_signs_that_terminals_obey(folder: Path) -> None:
    write_manifest(folder)
    edit(folder, **{"a\x1b[2J": {"sha256": "\x1b[2J", "bytes": 0}})
    (folder / "b\x1b[2J").touch()
    (folder / "models" / "model.pt").write_bytes(b"WEIGHTS")
    faults = check_manifest(folder)
    assert len(faults) == 3 and all(fault.isprintable() for fault in faults)
