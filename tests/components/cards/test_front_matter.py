# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What a model hub reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from radbundles.components.cards import front_matter

PIPELINES = {
    "dcxfm_dense": "image-segmentation",
    "dcxfm_pretrain": "image-feature-extraction",
    "ecamp_classification": "image-classification",
    "ecamp_detection": "object-detection",
    "ecamp_pretrain": "image-feature-extraction",
    "ecamp_segmentation": "image-segmentation",
}


def block(folder: Path) -> dict[str, Any]:
    before, content, after = front_matter(folder).split("---\n")
    assert before == "" and after == "\n"
    parsed: dict[str, Any] = yaml.safe_load(content)
    return parsed


@pytest.mark.parametrize("name", PIPELINES)
def test_every_bundle_tells_license_library_and_task(name: str, repository: Path) -> None:
    content = block(repository / "bundles" / name)
    assert content["license"] == "apache-2.0" and content["library_name"] == "monai"
    assert content["pipeline_tag"] == PIPELINES[name] and "metrics" not in content
    assert content["tags"][0] == "monai" and {"radbundles", "medical"} < set(content["tags"])


def test_weights_from_data_with_other_terms_have_another_license(
    with_weights: Path, change: Callable[..., None]
) -> None:
    assert block(with_weights)["license"] == "apache-2.0"
    change(with_weights, "metadata", data_sets={"trained_on": ["idrid"]})
    content = block(with_weights)
    assert content["license"] == "other" and content["license_link"] == "docs/data_license.txt"


def test_recipe_is_not_bound_by_data_that_it_does_not_hold(bundle: Path, change: Callable[..., None]) -> None:
    change(bundle, "metadata", data_sets={"trained_on": ["idrid"]})
    assert block(bundle)["license"] == "apache-2.0"


def test_metrics_are_named_once_and_without_their_section(bundle: Path, change: Callable[..., None]) -> None:
    change(bundle, "metadata", eval_metrics={"auroc (test section)": 0.7, "auroc (external)": 0.6, "f1 (x)": 0.5})
    assert block(bundle)["metrics"] == ["auroc", "f1"]


def test_words_that_mean_something_in_yaml_stay_words(bundle: Path, change: Callable[..., None]) -> None:
    change(bundle, "metadata", tags=["no", "a: b", "# c", "1.0", "Größe"])
    assert block(bundle)["tags"][3:] == ["no", "a: b", "# c", "1.0", "Größe"]
