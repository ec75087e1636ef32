# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from radbundles.components.benchmarks.dense_step import Setting, measure_answer, measure_many, measure_step

SMALL = {"size": 64, "image": {"widths": (4, 4, 8, 8)}, "text": {"dim": 16, "layers": 1, "heads": 2, "ffn": 32}}


@pytest.fixture(scope="module")
def setting() -> Setting:
    return Setting(classes=3, **SMALL)  # type: ignore[arg-type]


def test_step_trains_and_leaves_the_text_alone(setting: Setting) -> None:
    before = {name: value.clone() for name, value in setting.network.state_dict().items()}
    figures = measure_step(setting, batch_size=2, steps=2, warm_up=1, profile=True)
    assert 0 < figures["fastest_seconds"] <= figures["seconds_per_step"]
    assert (figures["batch"], figures["classes"]) == (2, 3) and "convolution" in figures["profile"]
    moved = [name for name, value in setting.network.named_parameters() if not torch.equal(value, before[name])]
    assert any(name.startswith("aggregator.") for name in moved) and any("image" in name for name in moved)
    assert not any(".text." in name for name in moved)


def test_answer_is_set_beside_the_bare_network(setting: Setting) -> None:
    figures = measure_answer(setting, repeats=2)
    assert figures["answer_to_bare"] == pytest.approx(
        figures["answer_seconds"] / figures["bare_network_seconds"], rel=0.05
    )


def test_many_classes_are_all_answered() -> None:
    figures = measure_many(40, 1, **SMALL)
    assert figures["classes"] == 40 and figures["covered_pixels"] > 0 and figures["peak_gib"] > 0.1
