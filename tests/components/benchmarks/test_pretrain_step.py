# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch

from radbundles.components.benchmarks.pretrain_step import made_up_texts, matmul_rate, measure, real_texts
from radbundles.transforms import SPECIAL_TOKENS, build_report_tokenizer

SIZES: dict[str, Any] = {
    "image_size": 64,
    "dim": 16,
    "depth": 1,
    "heads": 2,
    "decoder_dim": 16,
    "decoder_depth": 1,
    "decoder_heads": 2,
    "vocab_size": 64,
    "text_dim": 16,
    "text_layers": 1,
    "text_heads": 2,
    "text_ffn": 16,
}


def run(mode: str, **options: Any) -> dict[str, Any]:
    texts = made_up_texts(mode=mode, batch_size=2, vocab_size=64)
    return measure(texts, mode=mode, batch_size=2, steps=2, warm_up=0, sizes=SIZES, **options)


def test_official_step_pays_for_padding_and_unmasked_words() -> None:
    official, mended = run("official"), run("mended")
    assert official["tokens_per_report"] == 256 and 40 <= mended["tokens_per_report"] <= 96
    # The vocabulary matrix of 16 x 64 alone, forward and twice that backward, on at least 512 - 2 * 96 more words:
    assert official["gflop_per_step"] - mended["gflop_per_step"] > 3 * 2 * 16 * 64 * 320 / 1e9
    assert json.loads(json.dumps(mended)) == mended


def test_figures_fit_each_other() -> None:
    figures = run("mended")
    assert figures["images_per_second"] == pytest.approx(2 / figures["seconds_per_step"], rel=0.05)
    assert figures["fastest_seconds"] <= figures["seconds_per_step"]
    assert figures["peak_gib"] > 0.05 and len(figures["losses"]) == 2


def test_bfloat16_runs_by_autocast() -> None:
    assert run("mended", dtype=torch.bfloat16)["dtype"] == "bfloat16"


def test_profile_is_added_when_asked_for() -> None:
    assert "aten::addmm" in run("mended", profile=True)["profile"]


def test_a_block_adds_its_flops() -> None:
    def gflop(depth: int) -> float:
        texts = made_up_texts(mode="mended", batch_size=2, vocab_size=64)
        sizes = {**SIZES, "dim": 256, "depth": depth}
        return measure(texts, batch_size=2, steps=1, warm_up=0, sizes=sizes)["gflop_per_step"]

    # A block of width d has 12 d^2 weights; each costs 2 a token forward and 4 backward. 2 samples of 1 + 1 tokens.
    assert gflop(5) - gflop(1) == pytest.approx(4 * 6 * 12 * 256**2 * 4 / 1e9, rel=0.05)


def test_real_reports_are_masked_and_trimmed(tmp_path: Path) -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    pieces = [*SPECIAL_TOKENS, ".", *letters, *(f"##{letter}" for letter in letters)]
    build_report_tokenizer({piece: number for number, piece in enumerate(pieces)}).save(str(tmp_path / "t.json"))
    rows = [{"findings": "The heart is large."}, {"findings": "Clear."}, {"impression": "Small effusion."}]
    (tmp_path / "reports.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    common: dict[str, Any] = {"tokenizer_file": tmp_path / "t.json", "batch_size": 2}
    (mended,) = real_texts(tmp_path / "reports.jsonl", mode="mended", **common)
    (official,) = real_texts(tmp_path / "reports.jsonl", mode="official", **common)
    assert official["labels"].shape == (2, 256) and mended["labels"].shape[1] < 256
    assert torch.equal(mended["input_ids"] == 3, mended["masked"])


def test_too_few_reports_for_a_batch_are_refused() -> None:
    with pytest.raises(ValueError, match="one batch of 2"):
        measure(islice(made_up_texts(mode="mended", batch_size=2), 0), batch_size=2, sizes=SIZES)


def test_matmul_rate_is_that_of_a_product() -> None:
    assert 0.1 < matmul_rate(torch.float32, "cpu", size=256) < 1e6
