# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
import mmap
import sys

import pytest

from radbundles.components.benchmarks import word_region
from radbundles.components.benchmarks.word_region import SIZES, features, losses, measure

SMALL = {**SIZES, "batch": 12, "positions": 10, "side": 4, "dim": 8, "shortest": 1, "longest": 9}


def test_features_have_the_sizes_asked_for() -> None:
    cells, words, word_mask = features(SMALL)
    assert cells.shape == (12, 8, 4, 4) and words.shape == (12, 10, 8)
    assert 1 <= word_mask.sum(1).min() and word_mask.sum(1).max() <= 9
    assert cells.requires_grad and words.requires_grad


def test_both_ways_give_one_loss_and_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    weighed = {"loop": 80.0, "batched": 10.0}
    monkeypatch.setattr(word_region, "_extra_peak_mib", lambda name, *_: weighed[name])
    figures = measure(repeats=2, sizes=SMALL)
    assert figures["difference"]["loss"] < 1e-5 and figures["difference"]["gradients"] < 1e-5
    assert figures["ratios"]["extra_peak_mib"] == 8.0
    for name in weighed:
        assert 0 < figures[name]["fastest_seconds"] <= figures[name]["seconds"]
    assert json.loads(json.dumps(figures)) == figures


def test_a_difference_between_both_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = losses()["loop"]
    monkeypatch.setattr(word_region, "losses", lambda _: {"loop": loop, "batched": lambda *x: 2.0 * loop(*x)})
    monkeypatch.setattr(word_region, "_extra_peak_mib", lambda *_: 1.0)
    assert measure(repeats=1, sizes=SMALL)["difference"]["gradients"] == pytest.approx(1.0)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere the peak of the process is less exact")
def test_loop_needs_several_times_the_memory() -> None:
    sizes = {**SIZES, "batch": 32, "dim": 16}
    weights = {name: word_region._extra_peak_mib(name, "cpu", None, sizes) for name in losses()}
    # The loop keeps the results of two softmaxes per word, cell and image; the chunks together take a few megabytes.
    words = int(features(sizes)[2].sum())
    assert weights["loop"] > 2 * 4 * words * 32 * 256 / 2**20
    assert 0 < weights["batched"] < weights["loop"] / 4


def test_command_prints_its_figures(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_region, "SIZES", SMALL)
    monkeypatch.setattr(word_region, "_extra_peak_mib", lambda *_: 1.0)
    monkeypatch.setattr(sys, "argv", ["word_region", "--repeats", "1", "--batch", "3", "--chunk-size", "100"])
    word_region.main()
    assert json.loads(capsys.readouterr().out)["batch"] == 3


def test_process_memory_grows_with_what_is_touched() -> None:
    before = word_region._process_mib("VmRSS")
    held = mmap.mmap(-1, 2**27)  # an allocator might hand out pages that it never gave back
    for page in range(0, 2**27, mmap.PAGESIZE):
        held[page] = 1
    after = word_region._process_mib("VmRSS")
    assert after - before == pytest.approx(128, abs=32) if sys.platform.startswith("linux") else after >= before
    assert word_region._process_mib("VmHWM") >= after
    del held
