# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import TypeVar

import pytest
import torch

from radbundles.transforms import RandRadiographNoise, RandRadiographTone

T = TypeVar("T", RandRadiographNoise, RandRadiographTone)
IMAGE = torch.tensor([[[0.2, 0.4], [0.6, 0.8]]])


def seeded(transform: T, seed: int) -> T:
    transform.set_random_state(seed)
    return transform


def test_brightness_multiplies_and_contrast_turns_about_the_mean() -> None:
    tone = RandRadiographTone()
    tone.factors, tone.contrast_first = (1.2, 0.5), False
    assert torch.allclose(tone(IMAGE, randomize=False), torch.tensor([[[0.42, 0.54], [0.66, 0.78]]]))
    tone.factors, tone.contrast_first = (1.2, 0.5), True
    assert torch.allclose(tone(IMAGE, randomize=False), 1.2 * torch.tensor([[[0.35, 0.45], [0.55, 0.65]]]))
    tone.factors = (1.2, 1.2)
    assert tone(torch.tensor([[[0.0, 1.0]]]), randomize=False).tolist() == [[[0, 1]]]


def test_first_step_is_clamped_before_the_second() -> None:
    tone = RandRadiographTone()
    tone.factors, tone.contrast_first = (1.2, 0.5), False
    # 1.0 is clamped to 1 again, so that the mean is 0.5 and not 0.6.
    assert torch.allclose(tone(torch.tensor([[[0.0, 1.0]]]), randomize=False), torch.tensor([[[0.25, 0.75]]]))


def test_factors_are_uniform_and_as_probable_as_said() -> None:
    tone = seeded(RandRadiographTone(brightness=0.2, contrast=0.1, probability=0.3), 0)
    drawn, first = [], 0
    for _ in range(4000):
        tone.randomize()
        if tone.factors is not None:
            drawn.append(tone.factors)
            first += tone.contrast_first
    assert len(drawn) / 4000 == pytest.approx(0.3, abs=0.03)
    assert first / len(drawn) == pytest.approx(0.5, abs=0.06)
    for factors, reach in zip(torch.tensor(drawn).T, (0.2, 0.1), strict=True):
        assert (factors - 1).abs().max() <= reach
        thirds = torch.histc(factors, 3, 1 - reach, 1 + reach) / len(drawn)
        assert (thirds - 1 / 3).abs().max() < 0.05


def test_noise_has_the_variance_in_gray_levels_and_differs_between_channels() -> None:
    noise = seeded(RandRadiographNoise(variance=(30, 30), probability=1, channels=3), 0)
    added = (noise(torch.full((1, 200, 300), 0.5)) - 0.5) * 255
    assert added.shape == (3, 200, 300)
    assert (added.var(dim=(1, 2)) - 30).abs().max() < 0.6
    assert added.mean(dim=(1, 2)).abs().max() < 0.1
    assert (torch.corrcoef(added.flatten(1)) - torch.eye(3)).abs().max() < 0.02


def test_variance_is_uniform_between_its_bounds() -> None:
    noise = seeded(RandRadiographNoise(variance=(10, 50), probability=1), 0)
    variances = []
    for _ in range(2000):
        noise.randomize()
        assert noise.draw is not None
        variances.append((noise.draw[0] * 255) ** 2)
    thirds = torch.histc(torch.tensor(variances), 3, 10, 50) / 2000
    assert (thirds - 1 / 3).abs().max() < 0.04


def test_noisy_image_stays_within_black_and_white() -> None:
    noise = seeded(RandRadiographNoise(variance=(50, 50), probability=1, channels=1), 0)
    assert noise(torch.zeros(1, 64, 64)).min() == 0
    assert noise(torch.ones(1, 64, 64)).max() == 1


def test_without_probability_nothing_changes() -> None:
    assert RandRadiographTone(probability=0)(IMAGE) is IMAGE
    assert torch.equal(RandRadiographNoise(probability=0, channels=3)(IMAGE), IMAGE.expand(3, 2, 2))


def test_random_state_decides_alone() -> None:
    noise = RandRadiographNoise(probability=1)
    torch.manual_seed(1)
    first = seeded(noise, 5)(IMAGE)
    state = torch.get_rng_state()
    assert torch.equal(noise(IMAGE, randomize=False), first)
    torch.manual_seed(2)
    assert torch.equal(seeded(noise, 5)(IMAGE), first)
    assert not torch.equal(noise(IMAGE), first)
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="contrast must be within"):
        RandRadiographTone(contrast=-0.1)
    with pytest.raises(ValueError, match=r"\(50, 10\)"):
        RandRadiographNoise(variance=(50, 10))
    with pytest.raises(ValueError, match="got 1.5"):
        RandRadiographNoise(probability=1.5)
    with pytest.raises(ValueError, match="channels must be 1 or more"):
        RandRadiographNoise(channels=0)
