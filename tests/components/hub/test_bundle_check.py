# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether a bundle is complete and fits what is installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import radbundles
from radbundles.components.hub.bundle_check import BundleReport, check_bundle
from radbundles.components.hub.bundles import find_bundle, find_bundles


def examine(bundle: Path) -> BundleReport:
    return check_bundle(find_bundle(bundle.name))


def change_metadata(bundle: Path, **changes: Any) -> None:
    path = bundle / "configs" / "metadata.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_complete_bundle_is_sound(toy_bundle: Path) -> None:
    report = examine(toy_bundle)
    assert report.problems == ()
    assert report.requires == (">=0.0.1",)
    assert report.tested_with == {"monai": "1.0.0", "torch": "2.0.0", "numpy": "1.20.0", "pydicom": "2.0.0"}


def test_shipped_bundles_are_sound() -> None:
    assert {
        bundle.name: check_bundle(bundle).problems for bundle in find_bundles() if check_bundle(bundle).problems
    } == {}


@pytest.mark.parametrize("name", ["LICENSE", "docs/README.md", "docs/data_license.txt"])
def test_missing_file_is_named(toy_bundle: Path, name: str) -> None:
    (toy_bundle / name).unlink()
    assert examine(toy_bundle).problems == (f"{name} is missing",)


def test_a_workflow_is_needed_in_either_format(toy_bundle: Path) -> None:
    (toy_bundle / "configs" / "train.json").unlink()
    assert examine(toy_bundle).problems == ("configs has neither a train nor an inference workflow",)
    (toy_bundle / "configs" / "inference.yaml").write_text("network: null\n")
    assert examine(toy_bundle).problems == ()


def test_version_is_needed(toy_bundle: Path) -> None:
    change_metadata(toy_bundle, version=None)
    assert examine(toy_bundle).problems == ("configs/metadata.json has no version",)


@pytest.mark.parametrize(
    "config",
    [
        json.dumps({"initialize": ["$__import__('radbundles').require('>=99')"]}),
        json.dumps({"initialize": ['$__import__("radbundles").require(">=99")']}),
        json.dumps({"imports": ["$import radbundles"], "check": "$radbundles.require('>=99')"}),
        "initialize:\n  - $__import__('radbundles').require('>=99')\n",
    ],
)
def test_preflight_for_another_radbundles_is_found_however_it_is_written(toy_bundle: Path, config: str) -> None:
    (toy_bundle / "configs" / "train.json").write_text(config)
    (problem,) = examine(toy_bundle).problems
    assert problem.startswith(f"this bundle needs radbundles >=99, but {radbundles.__version__} is installed")


def test_absent_package_is_a_problem_and_an_older_one_a_note(toy_bundle: Path) -> None:
    change_metadata(toy_bundle, required_packages_version={"no-such-package": "1.0", "pydicom": "99.0"})
    report = examine(toy_bundle)
    assert report.problems == ("no-such-package is not installed: pip install no-such-package",)
    assert any("is older than 99.0" in note and note.startswith("pydicom ") for note in report.notes)


def test_version_that_is_none_is_reported_not_raised(toy_bundle: Path) -> None:
    change_metadata(toy_bundle, numpy_version="newest")
    assert any("cannot be compared with 'newest'" in note for note in examine(toy_bundle).notes)


def test_unreadable_metadata_is_the_problem(toy_bundle: Path) -> None:
    (toy_bundle / "configs" / "metadata.json").write_text("{")
    (problem,) = examine(toy_bundle).problems
    assert "cannot be read" in problem
