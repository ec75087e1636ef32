# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The official text path of ECAMP, sample for sample."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from radbundles.transforms import (
    ECAMP_ENTITIES,
    NEGATION_TEMPLATES,
    MaskReport,
    OfficialMasking,
    TokenizeReport,
    insert_distilled_official,
    load_report_tokenizer,
)

DEFAULT = Path(__file__).resolve().parents[3] / "shared" / "golden"
FILES = sorted(Path(os.environ.get("RADBUNDLES_GOLDEN", DEFAULT)).glob("ecamp_text_*.json"))


@pytest.fixture(scope="module")
def tokenizer_file(golden_dir: Path) -> Path:
    path = golden_dir / "ecamp_official_wordpiece.json"
    if not path.is_file():
        pytest.skip(
            "official tokenizer not found: set RADBUNDLES_GOLDEN to the folder with ecamp_official_wordpiece.json"
        )
    return path


@pytest.fixture(scope="module", params=FILES or [Path("none")], ids=lambda path: path.stem)
def samples(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    if not FILES:
        pytest.skip("reference texts not found: set RADBUNDLES_GOLDEN to the folder with ecamp_text_*.json")
    found: list[dict[str, Any]] = json.loads(request.param.read_text(encoding="utf-8"))["samples"]
    assert found
    return found


def test_ids_masks_and_weights_are_the_official_ones(samples: list[dict[str, Any]], tokenizer_file: Path) -> None:
    tokenize = TokenizeReport(tokenizer_file=tokenizer_file, max_length=len(samples[0]["ids"]))
    rule = OfficialMasking(load_report_tokenizer(tokenizer_file), ECAMP_ENTITIES)
    mask = MaskReport(tokenizer_file=tokenizer_file, mode="official")
    for sample in samples:
        generator = random.Random(sample["seed"])
        ids = tokenize(insert_distilled_official(sample["report"], sample["distilled"], generator))
        assert ids.tolist() == sample["ids"], sample["seed"]
        mask.mask = lambda ids: rule(ids, generator)  # type: ignore[method-assign]  # noqa: B023 - used at once
        result = mask(ids)
        assert result["labels"].tolist() == sample["ids"], sample["seed"]
        assert result["input_ids"].tolist() == sample["masked_ids"], sample["seed"]
        assert result["attention_mask"].tolist() == sample["attention_mask"], sample["seed"]
        np.testing.assert_allclose(result["token_weights"], sample["weights"], rtol=0, atol=1e-5)
        assert torch.equal(result["masked"], result["input_ids"] != ids)


def test_templates_have_the_official_ids(tokenizer_file: Path) -> None:
    tokenizer = load_report_tokenizer(tokenizer_file)
    ids = [tokenizer.encode(template, add_special_tokens=False).ids for template in NEGATION_TEMPLATES]
    assert ids == [[219, 149, 152, 422, 158], [219, 149, 152]]


def test_three_of_the_official_words_are_no_piece(tokenizer_file: Path) -> None:
    tokenizer = load_report_tokenizer(tokenizer_file)
    assert len(ECAMP_ENTITIES) == 44
    assert [word for word in ECAMP_ENTITIES if tokenizer.token_to_id(word) is None] == [
        "aerate",
        "COPD",
        "hyperinflate",
    ]
    assert tokenizer.token_to_id("copd") == 1127
