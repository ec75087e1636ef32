# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Finding bundles."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from radbundles.components.hub.bundles import find_bundle, find_bundles


def test_bundles_of_the_checkout_are_found(repository: Path) -> None:
    expected = {path.parents[1].name for path in (repository / "bundles").glob("*/configs/metadata.json")}
    found = {bundle.name: bundle for bundle in find_bundles()}
    assert set(found) == expected
    for bundle in found.values():
        assert bundle.origin == "checkout"
        assert bundle.folder == repository / "bundles" / bundle.name


def test_search_path_comes_before_our_own_and_names_itself(toy_bundle: Path) -> None:
    bundle = find_bundle("toy_segmentation")
    assert (bundle.folder, bundle.origin, bundle.version) == (toy_bundle, str(toy_bundle.parent), "0.2.0")


def test_first_of_two_with_one_name_counts(toy_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other"
    shutil.copytree(toy_bundle, other / toy_bundle.name)
    monkeypatch.setenv("RADBUNDLES_PATH", os.pathsep.join((str(other), str(toy_bundle.parent))))
    assert [bundle.folder for bundle in find_bundles() if bundle.name == toy_bundle.name] == [other / toy_bundle.name]


def test_a_bundle_may_be_named_by_its_folder(toy_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RADBUNDLES_PATH")
    assert find_bundle(str(toy_bundle)).name == "toy_segmentation"


def test_commands_call_a_bundle_by_what_finds_it(toy_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_bundle("toy_segmentation").called == "toy_segmentation"
    monkeypatch.delenv("RADBUNDLES_PATH")
    assert find_bundle(find_bundle(str(toy_bundle)).called).folder == toy_bundle


def test_unknown_name_lists_the_known(toy_bundle: Path) -> None:
    with pytest.raises(LookupError, match="no bundle 'toy'.*toy_segmentation"):
        find_bundle("toy")


def test_search_path_that_is_no_folder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RADBUNDLES_PATH", "no/such/folder")
    with pytest.raises(NotADirectoryError, match="RADBUNDLES_PATH names 'no/such/folder'"):
        find_bundles()


@pytest.mark.parametrize(("content", "fault"), [("{", "cannot be read"), ("[1]", "holds a list, not an object")])
def test_unreadable_metadata_is_a_fault_of_that_bundle_alone(toy_bundle: Path, content: str, fault: str) -> None:
    shutil.copytree(toy_bundle, toy_bundle.parent / "sound")
    (toy_bundle / "configs" / "metadata.json").write_text(content)
    found = {bundle.name: bundle for bundle in find_bundles()}
    assert fault in str(found["toy_segmentation"].fault)
    assert found["sound"].fault is None


def test_safetensors_are_taken_before_model_pt(toy_bundle: Path) -> None:
    assert find_bundle("toy_segmentation").weights is None
    (toy_bundle / "models").mkdir()
    (toy_bundle / "models" / "model.pt").write_bytes(b"x")
    assert find_bundle("toy_segmentation").weights == toy_bundle / "models" / "model.pt"
    (toy_bundle / "models" / "model.safetensors").write_bytes(b"x")
    assert find_bundle("toy_segmentation").weights == toy_bundle / "models" / "model.safetensors"


def test_summary_is_plain_json(toy_bundle: Path) -> None:
    summary = find_bundle("toy_segmentation").summary()
    assert json.loads(json.dumps(summary)) == summary
    assert (summary["title"], summary["task"], summary["weights"]) == ("Toy", "Testing", None)
