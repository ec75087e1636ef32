# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Masking rules and the sample that they make."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from radbundles.transforms import MaskReport, MaskReportd, TokenizeReport

Sample = dict[str, torch.Tensor]
Rates = Callable[..., list[tuple[str, float]]]
DRAWS = 4000


@pytest.fixture
def sample_of(tokenizer_file: Path) -> Callable[..., Sample]:
    """Function from a text to one sample of it."""

    def sample(text: str, *, max_length: int = 256, seed: int = 0, **arguments: Any) -> Sample:
        ids = TokenizeReport(tokenizer_file=tokenizer_file, max_length=max_length)(text)
        transform = MaskReport(tokenizer_file=tokenizer_file, **arguments)
        transform.set_random_state(seed)
        return transform(ids)

    return sample


@pytest.fixture
def rates(tokenizer_file: Path, pieces_of: Callable[[str], list[str]]) -> Rates:
    """Function from a text to (piece, how often it was masked)."""

    def measure(text: str, *, max_length: int = 256, **arguments: Any) -> list[tuple[str, float]]:
        ids = TokenizeReport(tokenizer_file=tokenizer_file, max_length=max_length)(text)
        transform = MaskReport(tokenizer_file=tokenizer_file, **arguments)
        transform.set_random_state(0)
        total = np.zeros(len(ids))
        for _ in range(DRAWS):
            total += transform.mask(ids.numpy()).masked
        pieces = pieces_of(text)[:max_length]
        assert not total[len(pieces) :].any()  # padding
        return list(zip(pieces, total / DRAWS, strict=False))

    return measure


def near(expected: Sequence[tuple[str, float]]) -> list[Any]:
    # Four standard errors of a share of 0.7 in 4,000 draws are 0.029; 0 and 1 must be exact.
    return [(piece, rate if rate in (0, 1) else pytest.approx(rate, abs=0.029)) for piece, rate in expected]


def test_paper_masks_descriptors_always_entities_three_quarters_the_rest_seventy_percent(rates: Rates) -> None:
    assert rates("The heart is normal. Small left effusion seen.") == near([
        ("[CLS]", 0), ("the", .70), ("heart", .70), ("is", .70), ("normal", .70), (".", .70),
        ("small", 1), ("left", 1), ("effusion", .75), ("seen", .70), (".", .70),
    ])  # fmt: skip


def test_official_masks_descriptors_like_any_word(rates: Rates) -> None:
    assert rates("The heart is normal. Small left effusion seen.", mode="official") == near([
        ("[CLS]", 0), ("the", .70), ("heart", .70), ("is", .70), ("normal", .70), (".", .70),
        ("small", .70), ("left", .70), ("effusion", .75), ("seen", .70), (".", .70),
    ])  # fmt: skip


@pytest.mark.parametrize("mode", ["paper", "official"])
def test_report_without_entity_is_masked_at_three_quarters(rates: Rates, mode: str) -> None:
    expected = [("[CLS]", 0), ("lungs", 0.75), ("are", 0.75), ("clear", 0.75), (".", 0.75)]
    assert rates("Lungs are clear.", mode=mode) == near(expected)


def test_descriptors_end_at_the_sentence_and_at_the_beginning(rates: Rates) -> None:
    text = "Mass seen. Opacity. Heart normal (seen). Left effusion"
    masked = {place for place, (_, rate) in enumerate(rates(text)) if rate == 1}
    # pieces: [CLS] mass seen . opacity . heart normal ( seen ). left effusion
    assert masked == {11}


def test_entity_left_of_an_entity_stays_an_entity(rates: Rates) -> None:
    assert rates("Small pleural effusion edema.") == near(
        [("[CLS]", 0), ("small", 1), ("pleural", 1), ("effusion", 0.75), ("edema", 0.75), (".", 0.70)]
    )


def test_descriptors_are_whole_words(rates: Rates) -> None:
    assert rates("The nodulear masss effusion.") == near(
        [("[CLS]", 0), ("the", .70), ("nodule", 1), ("##ar", 1), ("mass", 1), ("##s", 1), ("effusion", .75), (".", .70)]
    )  # fmt: skip


@pytest.mark.parametrize("mode", ["paper", "official"])
def test_pieces_of_a_word_are_masked_together(sample_of: Callable[..., Sample], mode: str) -> None:
    seen = set()
    for seed in range(100):
        masked = sample_of("Lungs clearly clearly normal", mode=mode, seed=seed)["masked"][:7].tolist()
        assert masked[2] == masked[3]
        assert masked[4] == masked[5]
        seen.add((masked[2], masked[4]))
    assert len(seen) == 4


def test_paper_finds_entities_of_several_pieces_and_words_and_masks_them_whole(rates: Rates, sample_of: Any) -> None:
    text, entities = "Hyperinflate, COPD or mild air space disease.", ["hyperinflate", "COPD", "air space disease"]
    assert rates(text, entities=entities) == near([
        ("[CLS]", 0), ("hyperinfl", .75), ("##ate", .75), (",", 1), ("copd", .75), ("or", 1), ("mild", 1),
        ("air", .75), ("space", .75), ("disease", .75), (".", .70),
    ])  # fmt: skip
    for seed in range(60):
        sample = sample_of(text, entities=entities, seed=seed)
        assert sample["entity"].nonzero().flatten().tolist() == [1, 2, 4, 7, 8, 9]
        for first, stop in ((1, 3), (7, 10)):
            assert len(set(sample["masked"][first:stop].tolist())) == 1


def test_official_misses_what_is_no_piece_of_its_own(sample_of: Any) -> None:
    sample = sample_of("Hyperinflate aerate COPD effusions effusion", mode="official")
    assert sample["entity"].nonzero().flatten().tolist() == [7]


def test_official_leaves_the_rest_of_an_entity_word_alone(rates: Rates) -> None:
    assert rates("Masss seen.", mode="official") == near(
        [("[CLS]", 0), ("mass", 0.75), ("##s", 0), ("seen", 0.70), (".", 0.70)]
    )


def test_official_never_masks_the_last_position_and_paper_does(rates: Rates) -> None:
    text = "clear clear clear mass"
    assert rates(text, max_length=5, mode="official")[-1] == ("mass", 0)
    assert rates(text, max_length=5)[-1] == near([("mass", 0.75)])[0]


def test_official_looks_over_a_full_stop_and_takes_entities(sample_of: Any) -> None:
    sample = sample_of("There is no air. Mass. Small edema effusion.", mode="official")
    # pieces: 1 there 2 is 3 no 4 air 5 . 6 mass 7 . 8 small 9 edema 10 effusion 11 .
    raised = (sample["token_weights"] > 1).nonzero().flatten().tolist()
    assert raised == [4, 8, 9]


def test_paper_raises_the_descriptors_alone(sample_of: Any) -> None:
    sample = sample_of("There is no air. Mass. Small edema effusion.")
    weights = sample["token_weights"]
    assert (weights > 1).nonzero().flatten().tolist() == [8]
    assert weights[8] == pytest.approx(1 + 3 * 0.95)
    assert weights[1:4].tolist() == pytest.approx([0.05] * 3)


def test_paper_weights_sum_to_the_tokens_and_official_ones_to_the_length(sample_of: Any) -> None:
    for text in ("There is no evidence of effusion.", "There is no", "Lungs are clear. There is no air.", ""):
        paper, official = sample_of(text), sample_of(text, mode="official")
        tokens = paper["attention_mask"].sum().item()
        assert paper["token_weights"].sum().item() == pytest.approx(tokens, rel=1e-5)
        assert not paper["token_weights"][tokens:].any()
        assert official["token_weights"].sum().item() == pytest.approx(256, rel=1e-5)


def test_template_at_the_end_counts_in_paper_and_is_missed_by_official(sample_of: Any) -> None:
    text = "clear clear clear There is no"
    paper, official = (sample_of(text, max_length=7, mode=mode)["token_weights"] for mode in ("paper", "official"))
    assert paper[4:].max() < 0.1
    assert official.tolist() == [1] * 7


def test_template_that_goes_on_inside_a_word_counts_in_official_alone(sample_of: Any) -> None:
    text = "There is nos air."
    assert sample_of(text)["token_weights"][:6].tolist() == [1] * 6
    assert sample_of(text, mode="official")["token_weights"][1] < 0.1


@pytest.mark.parametrize("mode", ["paper", "official"])
def test_sample_has_the_keys_of_the_batch(sample_of: Any, mode: str) -> None:
    sample = sample_of("There is no effusion.", max_length=12, mode=mode)
    assert {key: value.dtype for key, value in sample.items()} == {
        "labels": torch.int64, "input_ids": torch.int64, "attention_mask": torch.int64,
        "token_weights": torch.float32, "masked": torch.bool, "entity": torch.bool,
    }  # fmt: skip
    assert {value.shape for value in sample.values()} == {(12,)}
    assert sample["attention_mask"].tolist() == [1] * 6 + [0] * 6
    assert sample["input_ids"].tolist() == torch.where(sample["masked"], 3, sample["labels"]).tolist()
    assert sample["masked"].any()
    assert sample["entity"].tolist() == [False] * 4 + [True] + [False] * 7


@pytest.mark.parametrize("mode", ["paper", "official"])
@pytest.mark.parametrize("text", ["", "mass", "mass mass", "." * 9, "clear " * 300, "effusion " * 300])
def test_edges_of_a_report(sample_of: Any, mode: str, text: str) -> None:
    sample = sample_of(text, mode=mode)
    assert not sample["masked"][0]
    assert not (sample["masked"] & (sample["attention_mask"] == 0)).any()
    assert torch.isfinite(sample["token_weights"]).all()


@pytest.mark.parametrize("mode", ["paper", "official"])
def test_same_state_gives_the_same_mask(tokenizer_file: Path, mode: str) -> None:
    item: dict[Any, Any] = {
        "labels": TokenizeReport(tokenizer_file=tokenizer_file)("small pleural effusion seen. " * 9),
        "id": "a",
    }
    transform = MaskReportd(tokenizer_file=tokenizer_file, mode=mode)
    first = transform.set_random_state(1)(item)
    second = transform(item)
    again = pickle.loads(pickle.dumps(transform)).set_random_state(1)(item)
    assert torch.equal(first["input_ids"], again["input_ids"])
    assert not torch.equal(first["input_ids"], second["input_ids"])
    assert torch.equal(item["labels"], first["labels"])
    assert set(item) == {"labels", "id"}


def test_wrong_arguments_are_named(tokenizer_file: Path) -> None:
    with pytest.raises(ValueError, match="'offical'"):
        MaskReport(tokenizer_file=tokenizer_file, mode="offical")
    with pytest.raises(ValueError, match="one report"):
        MaskReportd(("labels", "others"), tokenizer_file=tokenizer_file)


@pytest.mark.parametrize("ids", [[], [5, 6]])
def test_ids_without_cls_are_refused(tokenizer_file: Path, ids: list[int]) -> None:
    with pytest.raises(ValueError, match=r"begin with \[CLS\]"):
        MaskReport(tokenizer_file=tokenizer_file)(torch.tensor(ids, dtype=torch.int64))
