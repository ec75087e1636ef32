# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Grounding scores against a plain loop, against cases worked by hand, and at the edges."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from torch import Tensor

from radbundles.components.metrics import (
    GROUNDING_SCORES,
    PROTOCOLS,
    GroundingProtocol,
    grounding_score,
    grounding_scores,
)

PROBABILITY = GroundingProtocol(name="p", scale="probability", thresholds=(0.25, 0.5, 0.9), cnr="signed")


def plain(image: np.ndarray, mask: np.ndarray, protocol: GroundingProtocol) -> dict[str, float]:
    """One map by the definitions."""
    scaled = image
    if protocol.scale == "minmax":
        scaled = 2 * (image - image.min()) / (image.max() - image.min()) - 1
    iou, dice = [], []
    for threshold in np.asarray(protocol.thresholds, dtype=image.dtype):
        found = scaled > threshold if protocol.strict else scaled >= threshold
        both, either = (found & mask).sum(), (found | mask).sum()
        iou.append(both / either if either else 1.0)
        dice.append(2 * both / (found.sum() + mask.sum()) if either else 1.0)
    inside, outside = scaled[mask].astype(float), scaled[~mask].astype(float)
    contrast = (inside.mean() - outside.mean()) / math.sqrt(inside.var() + outside.var())
    return {
        "iou": float(np.mean(iou)),
        "dice": float(np.mean(dice)),
        "pointing": float(mask[image == image.max()].any()),
        "cnr": contrast if protocol.cnr == "signed" else abs(contrast),
    }


def made(N: int, H: int, W: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Maps in 0..1, with many equal values, and masks that are neither empty nor full."""
    generator = torch.Generator().manual_seed(0)
    maps = (torch.rand(N, H, W, generator=generator, dtype=torch.float64) * 20).round() / 20
    masks = torch.rand(N, H, W, generator=generator) > 0.7
    masks[:, 0, 0], masks[:, 0, 1] = True, False
    return maps.to(dtype), masks


@pytest.mark.parametrize("protocol", [*PROTOCOLS.values(), PROBABILITY], ids=lambda protocol: protocol.name)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_the_plain_loop(protocol: GroundingProtocol, dtype: torch.dtype) -> None:
    maps, masks = made(9, 13, 17, dtype)
    scores = grounding_scores(maps, masks, protocol)
    expected = [plain(image, mask, protocol) for image, mask in zip(maps.numpy(), masks.numpy(), strict=True)]
    for name in GROUNDING_SCORES:
        assert scores[name].dtype == torch.float64 and scores[name].shape == (9,)
        np.testing.assert_allclose(scores[name].numpy(), [entry[name] for entry in expected], rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("tile", [1, 7, 60])
def test_tiles_do_not_show(tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    maps, masks = made(7, 5, 6)
    whole = grounding_scores(maps, masks)
    monkeypatch.setattr("radbundles.components.metrics.grounding._TILE", {"cpu": tile})
    parts = grounding_scores(maps, masks)
    single = [grounding_score(image, mask) for image, mask in zip(maps, masks, strict=True)]
    for name in GROUNDING_SCORES:
        torch.testing.assert_close(whole[name], parts[name], rtol=1e-12, atol=0)
        assert whole[name].tolist() == [entry[name] for entry in single]


def test_hundreds_of_thresholds_do_not_overflow() -> None:
    maps, masks = made(3, 9, 9)
    many = GroundingProtocol(name="x", thresholds=tuple(k / 300 for k in range(1, 300)))
    found = grounding_scores(maps, masks, many)["iou"].tolist()
    expected = [plain(image, mask, many)["iou"] for image, mask in zip(maps.numpy(), masks.numpy(), strict=True)]
    assert found == pytest.approx(expected, abs=1e-12)


def test_case_worked_by_hand() -> None:
    # Stretched to -1, -0.5, 0, 1: the pixel of value 9 alone is at or above all five thresholds.
    image = torch.tensor([[1.0, 3.0], [5.0, 9.0]])
    mask = torch.tensor([[False, False], [True, True]])
    scores = grounding_score(image, mask)
    assert scores["iou"] == 0.5 and scores["dice"] == pytest.approx(2 / 3) and scores["pointing"] == 1
    # means 0.5 and -0.75, population variances 0.25 and 0.0625
    assert scores["cnr"] == pytest.approx(1.25 / math.sqrt(0.3125))
    assert grounding_score(image, ~mask, "afloc")["cnr"] == pytest.approx(-1.25 / math.sqrt(0.3125))
    assert grounding_score(image, ~mask)["pointing"] == 0


def test_pixel_at_the_threshold_counts_unless_strict() -> None:
    image = torch.tensor([[0.0, 0.5]])
    mask = torch.tensor([[False, True]])
    protocol = GroundingProtocol(name="x", scale="cosine", thresholds=(0.5,))
    assert grounding_score(image, mask, protocol)["iou"] == 1
    assert grounding_score(image, mask, replace(protocol, strict=True))["iou"] == 0


def test_scores_of_a_segmentation_are_those_at_one_half_and_depend_on_the_scale() -> None:
    image = torch.tensor([[0.05, 0.30], [0.45, 0.60]])
    mask = torch.tensor([[False, False], [True, True]])
    half = grounding_score(image, mask, "half")
    assert half["iou"] == 0.5 and half["dice"] == pytest.approx(2 / 3)
    # As it is: three pixels reach 0.1 to 0.3, two reach 0.4, one reaches 0.5.
    raw = grounding_score(image, mask, "dcxfm_probability")
    assert raw["iou"] == pytest.approx((3 * 2 / 3 + 1 + 1 / 2) / 5)
    assert raw["dice"] == pytest.approx((3 * 4 / 5 + 1 + 2 / 3) / 5)
    # Stretched to -1, -0.09, 0.45, 1: two pixels reach 0.1 to 0.4, one reaches 0.5.
    assert grounding_score(image, mask, "dcxfm")["iou"] == pytest.approx((4 + 1 / 2) / 5)
    with pytest.raises(ValueError, match="protocol 'half' goes from 0 to 1"):
        grounding_score(image * 10 - 2, mask, "half")  # logits


def test_one_of_several_maxima_in_the_mask_is_a_hit() -> None:
    image = torch.tensor([[1.0, 0.0], [0.2, 1.0]])
    assert grounding_score(image, torch.tensor([[False, False], [False, True]]))["pointing"] == 1
    assert grounding_score(image, torch.tensor([[False, True], [True, False]]))["pointing"] == 0


@pytest.mark.parametrize("protocol", ["dcxfm", "biovil"])
@pytest.mark.parametrize("value", [0.0, 0.7, -0.3])
def test_constant_map_points_nowhere(protocol: str, value: float) -> None:
    masks = torch.zeros(1, 4, 4, dtype=torch.bool)
    masks[0, :2] = True
    scores = grounding_scores(torch.full((1, 4, 4), value), masks, protocol)
    assert scores["pointing"].item() == scores["cnr"].item() == 0
    # A raw value is still compared with the thresholds: 0.7 predicts the whole picture.
    assert scores["iou"].item() == (0.5 if protocol == "biovil" and value == 0.7 else 0)


def test_nothing_to_find() -> None:
    maps, masks = made(1, 6, 6)
    empty = grounding_score(maps[0], masks[0] & False)
    assert empty["iou"] == empty["dice"] == empty["pointing"] == 0 and math.isnan(empty["cnr"])
    assert math.isnan(grounding_score(maps[0], masks[0] | True)["cnr"])
    nothing_found_either = grounding_score(maps[0] * 0.05, masks[0] & False, "biovil")
    assert nothing_found_either["iou"] == nothing_found_either["dice"] == 1


def test_perfect_map_without_noise_has_no_contrast_to_noise() -> None:
    _, masks = made(3, 40, 40)
    scores = grounding_scores(masks * 0.3 + 0.1, masks)
    assert (scores["iou"] == 1).all() and (scores["pointing"] == 1).all() and (scores["cnr"] == 0).all()


def test_contrast_survives_a_large_offset_and_a_small_spread() -> None:
    maps, masks = made(4, 30, 30, torch.float64)
    expected = grounding_scores(maps, masks)["cnr"]
    torch.testing.assert_close(grounding_scores(maps * 1e-4 + 0.9, masks)["cnr"], expected, rtol=1e-6, atol=0)


def test_arrays_and_tensors_with_meta_data_are_maps_too() -> None:
    maps, masks = made(3, 8, 8)
    expected = grounding_scores(maps, masks)
    for found in (grounding_scores(maps.numpy(), masks.numpy()), grounding_scores(MetaTensor(maps), MetaTensor(masks))):
        for name in GROUNDING_SCORES:
            assert type(found[name]) is torch.Tensor and torch.equal(found[name], expected[name])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(dtype: torch.dtype) -> None:
    maps, masks = made(3, 20, 20)
    half = grounding_scores(maps.to(dtype), masks)
    single = grounding_scores(maps.to(dtype).float(), masks)
    assert all(torch.equal(half[name], single[name]) for name in GROUNDING_SCORES)


def test_no_maps_give_no_scores() -> None:
    scores = grounding_scores(torch.zeros(0, 4, 4), torch.zeros(0, 4, 4, dtype=torch.bool))
    assert {name: list(values.shape) for name, values in scores.items()} == dict.fromkeys(GROUNDING_SCORES, [0])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_are_refused_with_their_place(value: float) -> None:
    maps, masks = made(5, 4, 4)
    maps[3, 1, 2] = value
    with pytest.raises(ValueError, match="map 3 has pixels that are not finite"):
        grounding_scores(maps, masks)


def test_values_outside_the_scale_are_refused() -> None:
    maps, masks = made(5, 4, 4)
    maps[2, 0, 0] = -0.5
    with pytest.raises(ValueError, match="map 2 has values from -0.5 to 0.9, but the scale 'probability'"):
        grounding_scores(maps, masks, PROBABILITY)
    with pytest.raises(ValueError, match="protocol 'biovil' goes from -1 to 1; scale 'minmax' takes any"):
        grounding_scores(maps * 30, masks, "biovil")


def test_wrong_forms_are_refused() -> None:
    maps, masks = made(2, 4, 4)
    with pytest.raises(TypeError, match="floating"):
        grounding_scores(maps.int(), masks)
    with pytest.raises(TypeError, match="masks must be bool, got torch.float32"):
        grounding_scores(maps, masks.float())
    with pytest.raises(ValueError, match=r"got \[2, 4, 4\] and \[1, 4, 4\]"):
        grounding_scores(maps, masks[:1])
    with pytest.raises(ValueError, match="at least one pixel"):
        grounding_scores(maps[:, :0], masks[:, :0])
