# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch

from radbundles.transforms import ChooseSentenced, EncodeLabelsd

SENTENCES = [
    {"text": "the left effusion is larger compared to the prior", "labels": {"Pleural Effusion": 1}},
    {"text": "there is no pneumothorax", "labels": {"Pneumothorax": 0, "No Finding": 1}},
    {"text": "there is a left pleural effusion", "labels": {"Pleural Effusion": 1, "No Finding": 0}},
    {"text": "the heart is enlarged", "labels": {"Cardiomegaly": 1, "No Finding": 0}},
    {"text": "left basal effusion", "labels": {"Pleural Effusion": 1}},
]


def sample(labels: dict[str, int], sentences: list[dict[str, Any]] | None = None) -> dict[Any, Any]:
    item: dict[Any, Any] = {"id": "a", "labels": labels, "sentences": SENTENCES if sentences is None else sentences}
    return EncodeLabelsd("chexpert", missing="absent")(item)


def seeded(seed: int) -> ChooseSentenced:
    choose = ChooseSentenced("chexpert")
    choose.set_random_state(seed)
    return choose


def test_first_of_the_best_without_chance() -> None:
    chosen = ChooseSentenced("chexpert", random=False)(sample({"Pleural Effusion": 1}))
    assert chosen["sentence"] == "there is a left pleural effusion"
    expected = torch.full((14,), -1.0)
    expected[9] = 1
    assert torch.equal(chosen["text_labels"], expected) and chosen["text_labels"].dtype == torch.float32


def test_best_are_drawn_evenly_and_no_other() -> None:
    choose = seeded(0)
    item = sample({"Pleural Effusion": 1})
    drawn = Counter(choose(item)["sentence"] for _ in range(400))
    assert set(drawn) == {"there is a left pleural effusion", "left basal effusion"}
    assert min(drawn.values()) > 150


def test_normal_image_gets_the_normal_sentence() -> None:
    assert ChooseSentenced("chexpert")(sample({}))["sentence"] == "there is no pneumothorax"


def test_unknown_classes_do_not_count() -> None:
    item = EncodeLabelsd("chexpert")({"labels": {"Pneumothorax": 0}, "sentences": SENTENCES[1:]})
    drawn = {seeded(seed)(item)["sentence"] for seed in range(60)}
    assert drawn == {entry["text"] for entry in SENTENCES[1:]}


def test_comparisons_stay_if_asked_for_or_if_alone() -> None:
    item = sample({"Pleural Effusion": 1})
    kept = ChooseSentenced("chexpert", random=False, drop_comparisons=False)(item)
    assert kept["sentence"] == SENTENCES[0]["text"]
    alone = sample({"Pleural Effusion": 1}, SENTENCES[:1])
    assert ChooseSentenced("chexpert")(alone)["sentence"] == SENTENCES[0]["text"]


def test_choice_depends_on_its_own_random_state_alone() -> None:
    item = sample({"Pleural Effusion": 1})
    runs = []
    for disturbance in (1, 2):
        np.random.seed(disturbance)
        torch.manual_seed(disturbance)
        choose = seeded(7)
        runs.append([choose(item)["sentence"] for _ in range(20)])
    assert runs[0] == runs[1] and len(set(runs[0])) == 2


def test_what_is_missing_is_named_with_its_mend() -> None:
    with pytest.raises(KeyError, match="'a' has no 'sentences': join"):
        ChooseSentenced("chexpert")({"id": "a", "image_labels": torch.zeros(14)})
    with pytest.raises(KeyError, match="'a' has no 'image_labels': put EncodeLabelsd"):
        ChooseSentenced("chexpert")({"id": "a", "sentences": SENTENCES})
    with pytest.raises(ValueError, match="'a' has no sentence"):
        ChooseSentenced("chexpert")(sample({}, []))


def test_codes_of_another_table_are_refused() -> None:
    with pytest.raises(ValueError, match="14 classes.*33"):
        ChooseSentenced("findings")(sample({}))


def test_second_sentence_is_drawn_for_itself_and_leaves_the_first_alone() -> None:
    item = sample({"Pleural Effusion": 1})
    pairs = set()
    for seed in range(40):
        choose = ChooseSentenced("chexpert", second_key="second")
        choose.set_random_state(seed)
        chosen = choose(item)
        assert chosen["sentence"] == seeded(seed)(item)["sentence"]
        pairs.add((chosen["sentence"], chosen["second"]))
    best = {SENTENCES[2]["text"], SENTENCES[4]["text"]}
    assert pairs == {(first, second) for first in best for second in best}
