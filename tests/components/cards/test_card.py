# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The card of a bundle."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from radbundles.components.cards import card_text, stale_cards, write_cards

BUNDLES = sorted(path.parents[1] for path in Path(__file__).parents[3].glob("bundles/*/configs/metadata.json"))
# The template of MONAI's model zoo, and between its sections what the best bundles there add.
ORDER = [
    "Authors", "Tags", "Model Description", "Encoder Weights", "Intended Use", "Data", "Training Configuration",
    "Input and Output", "Performance", "MONAI Bundle Commands", "System Configuration", "Limitations", "Citation",
    "References", "License",
]  # fmt: skip
EVALUATION = {
    "task": "multilabel",
    "section": "test",
    "samples": 131,
    "patients": 120,
    "mean": {"auroc": [0.7541, 0.6774, 0.8271], "f1": [0.5, None, None]},
    "classes": {"Edema": {"positive": 7, "auroc": [0.8, 0.7, 0.9], "f1": [None, None, None]}},
    "notes": ["3 of 134 samples of the section were not evaluated."],
}


def headings(card: str) -> list[str]:
    return re.findall(r"^## (.*)$", re.sub(r"```.*?```", "", card, flags=re.DOTALL), flags=re.MULTILINE)


@pytest.mark.parametrize("folder", BUNDLES, ids=lambda folder: folder.name)
def test_committed_card_is_what_the_files_say(folder: Path) -> None:
    assert stale_cards([folder]) == {}, f"run radbundles card {folder.name}"


def test_committed_page_of_licenses_is_what_the_table_says(repository: Path) -> None:
    assert stale_cards([], licenses=repository / "docs" / "licenses.md") == {}, "run radbundles card --licenses"


@pytest.mark.parametrize("folder", BUNDLES, ids=lambda folder: folder.name)
def test_card_has_the_sections_of_the_model_zoo_and_no_front_matter(folder: Path) -> None:
    card = card_text(folder)
    found = headings(card)
    assert found == [title for title in ORDER if title in found]
    assert set(ORDER) - set(found) <= {"Encoder Weights"}
    assert card.startswith("# ") and "not a medical device" in card.splitlines()[2]
    assert "@article{" in card and "### Preprocessing" in card and "Image size" in card
    assert "---\n" not in card.replace(" | ", "")


def test_hand_written_sections_are_kept_whole(bundle: Path) -> None:
    written = (bundle / "docs" / "sections.md").read_text(encoding="utf-8")
    card = card_text(bundle)
    lines = [line for line in written.splitlines() if line and not line.startswith("## ")]
    assert len(lines) > 50 and [line for line in lines if line not in card] == []


def test_recipe_follows_the_training_config(bundle: Path, change: Callable[..., None]) -> None:
    change(
        bundle, "train", learning_rate=0.00025, batch_size=48, accumulation_steps=4, patience=None, selection="kappa"
    )
    card = card_text(bundle)
    assert "| Learning rate | 0.00025 |" in card
    assert "| Batch | 48, gradients of 4 summed up: 192 |" in card
    assert "| Best by | `kappa` on the validation section |" in card
    assert "| Schedule | warm-up over 0.5 epochs, then cosine, over 30 epochs |" in card
    assert "Ends early" not in card and "from block to block" not in card
    change(bundle, "train", layer_decay=0.75)
    assert "| Rate from block to block, times | 0.75 |" in card_text(bundle)


def test_preprocessing_follows_the_inference_config(bundle: Path, change: Callable[..., None]) -> None:
    steps = card_text(bundle).split("### Preprocessing")[1].split("## ")[0]
    assert "2. Refuse" in steps and "3. Fit the longest side to 224" in steps and "Repeat the channel 3 times" in steps
    change(bundle, "inference", require_chest=False, color="rgb", image_size=320, pixel_mean=[0.5, 0.4, 0.3])
    steps = card_text(bundle).split("### Preprocessing")[1].split("## ")[0]
    assert "Refuse" not in steps and "Repeat" not in steps
    assert "in color" in steps and "2. Fit the longest side to 320" in steps and "Subtract [0.5, 0.4, 0.3]" in steps


def test_step_of_another_kind_appears_by_its_name(bundle: Path, change: Callable[..., None]) -> None:
    steps = [{"_target_": "ScaleIntensityd", "keys": "image", "minv": 0.0}, "$@other"]
    change(bundle, "inference", preprocessing={"_target_": "Compose", "transforms": steps})
    card = card_text(bundle)
    assert "1. `ScaleIntensityd(keys='image', minv=0.0)`" in card and "2. `$@other`" in card


def test_bundle_without_training_config_has_no_recipe(bundle: Path) -> None:
    (bundle / "configs" / "train.json").unlink()
    assert "Training Configuration" not in headings(card_text(bundle))


def test_card_tells_whether_there_are_weights(with_weights: Path, change: Callable[..., None]) -> None:
    card = card_text(with_weights)
    assert "holds no weights" not in card and "not stated" in card and "Nobody has judged these weights" in card
    change(with_weights, "metadata", data_sets={"made_for": ["chexpert"], "trained_on": ["montgomery", "idrid"]})
    card = card_text(with_weights)
    assert "made from Montgomery County chest X-ray set; IDRiD" in card
    assert "| trained on | [IDRiD]" in card and "| made for | [CheXpert]" in card


def test_scores_of_the_weights_come_with_intervals(with_weights: Path) -> None:
    (with_weights / "docs" / "evaluation.json").write_text(json.dumps(EVALUATION))
    scores = card_text(with_weights).split("## Performance")[1]
    assert "| Class | auroc | f1 |" in scores
    assert "| mean | 0.754 (0.677 to 0.827) | 0.500 |" in scores
    assert "| Edema | 0.800 (0.700 to 0.900) | not defined |" in scores
    assert "131 images of 120 patients" in scores.replace("\n", " ") and "- 3 of 134 samples" in scores


def test_figures_of_other_weights_stand_on_no_card_of_weights(with_weights: Path) -> None:
    title = "| Study (images tested) |"
    assert title not in card_text(with_weights)
    (with_weights / "models" / "model.pt").unlink()
    assert title in card_text(with_weights)


def test_scores_without_intervals_are_told_as_they_are(with_weights: Path) -> None:
    (with_weights / "docs" / "evaluation.json").write_text(json.dumps({"entity_accuracy": 0.25, "loss": None}))
    scores = card_text(with_weights).split("## Performance")[1]
    assert "| entity_accuracy | 0.25 |" in scores and "| loss" not in scores


def test_scores_are_not_told_of_weights_that_are_not_there(bundle: Path) -> None:
    (bundle / "docs" / "evaluation.json").write_text(json.dumps(EVALUATION))
    assert "0.754 (0.677 to 0.827) | 0.500" not in card_text(bundle)


def test_thresholds_are_told(bundle: Path, change: Callable[..., None]) -> None:
    points = {"section": "validation", "samples": 90, "rule": "youden", "temperature": {"all": 1.5}}
    change(bundle, "metadata", operating_points=points | {"thresholds": {"Edema | late": 0.3125, "Mass": None}})
    card = card_text(bundle)
    assert "Chosen on the validation section (90 images) by youden." in card
    assert "| Edema \\| late | 0.312 | 1.5 |" in card and "| Mass | none | 1.5 |" in card


def test_metadata_alone_makes_a_card(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "LICENSE").write_text("MIT License\n")
    (tmp_path / "configs" / "metadata.json").write_text(json.dumps({"name": "Toy", "description": "Only looked at."}))
    assert headings(card_text(tmp_path)) == ["Model Description", "Performance", "License"]


def test_missing_metadata_and_license_are_named(bundle: Path) -> None:
    (bundle / "LICENSE").unlink()
    with pytest.raises(ValueError, match="LICENSE is missing"):
        card_text(bundle)
    (bundle / "configs" / "metadata.json").unlink()
    with pytest.raises(ValueError, match="metadata.json"):
        card_text(bundle)


def test_stale_card_is_shown_and_mended(bundle: Path, change: Callable[..., None]) -> None:
    change(bundle, "metadata", authors="Somebody else")
    stale = stale_cards([bundle])
    assert list(stale) == [bundle / "docs" / "README.md"]
    assert "+Somebody else.\n" in stale[bundle / "docs" / "README.md"]
    assert write_cards([bundle]) == [bundle / "docs" / "README.md"]
    assert stale_cards([bundle]) == {} and write_cards([bundle]) == []


def test_faulty_bundle_leaves_every_card_as_it_is(bundle: Path, change: Callable[..., None]) -> None:
    license_page = bundle / "licenses.md"
    change(bundle, "metadata", data_sets={"made_for": ["chexprt"]})
    with pytest.raises(ValueError, match="did you mean 'chexpert'"):
        write_cards([bundle], licenses=license_page)
    assert not license_page.exists()
