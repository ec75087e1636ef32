# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""PSNR and SSIM against plain NumPy loops."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from ignite.metrics import PSNR
from monai.data import MetaTensor

from radbundles.components.metrics import EpochMean, ImagePSNR, ImageSSIM

Output = dict[str, Any]
ValueOf = Callable[..., float]
RowsOf = Callable[[Output, slice], Output]

MEAN, STD = 0.4721, 0.3037
METRICS: list[tuple[Any, Any]] = [
    (kind, part) for kind in (ImagePSNR, ImageSSIM) for part in ("reconstruction", "super_resolution")
]


def display(tensor: torch.Tensor) -> np.ndarray:
    return np.clip(tensor.double().numpy() * STD + MEAN, 0, 1)


def removed(output: Output, sample: int) -> np.ndarray:
    """[32, 32] bool: pixels of the removed patches, 8 x 8 pixels each."""
    return np.kron(output["pred"]["mask"][sample].reshape(4, 4).numpy(), np.ones((8, 8))).astype(bool)


def crop_of(output: Output, sample: int) -> tuple[slice, ...]:
    """Slices of the context window in the 64-pixel image."""
    y0, x0, y1, x1 = (output["image"]["window"][sample].double().numpy() * 64).tolist()
    inside = [[pixel for pixel in range(64) if low <= pixel + 0.5 < high] for low, high in ((y0, y1), (x0, x1))]
    return tuple(slice(pixels[0], pixels[-1] + 1) for pixels in inside)


def similarity(first: np.ndarray, second: np.ndarray) -> float:
    """Mean SSIM of two [C, H, W] arrays over all 11 x 11 windows that lie inside."""
    line = np.exp(-0.5 * ((np.arange(11) - 5) / 1.5) ** 2)
    weights = np.outer(line, line) / np.outer(line, line).sum()
    values = []
    for a, b in zip(first, second, strict=True):
        for y in range(a.shape[0] - 10):
            for x in range(a.shape[1] - 10):
                p, q = a[y : y + 11, x : x + 11], b[y : y + 11, x : x + 11]
                mp, mq = (weights * p).sum(), (weights * q).sum()
                vp, vq = (weights * (p - mp) ** 2).sum(), (weights * (q - mq) ** 2).sum()
                cov = (weights * (p - mp) * (q - mq)).sum()
                top = (2 * mp * mq + 0.01**2) * (2 * cov + 0.03**2)
                values.append(top / ((mp**2 + mq**2 + 0.01**2) * (vp + vq + 0.03**2)))
    return float(np.mean(values))


def test_psnr_of_reconstruction_looks_at_removed_patches(output: Output, value_of: ValueOf) -> None:
    values = []
    for sample in range(5):
        made, target = display(output["pred"]["reconstruction"][sample]), display(output["pred"]["target"][sample])
        values.append(-10 * np.log10(((made - target)[:, removed(output, sample)] ** 2).mean()))
    assert value_of(ImagePSNR("reconstruction"), output) == pytest.approx(np.mean(values), rel=1e-5)


def test_psnr_of_super_resolution_looks_inside_the_window(output: Output, value_of: ValueOf) -> None:
    values = []
    for sample in range(5):
        made, target = display(output["pred"]["super_resolution"][sample]), display(output["image"]["image"][sample])
        crop = (slice(None), *crop_of(output, sample))
        values.append(-10 * np.log10(((made - target)[crop] ** 2).mean()))
    assert value_of(ImagePSNR("super_resolution"), output) == pytest.approx(np.mean(values), rel=1e-5)


def test_psnr_of_whole_images_is_that_of_ignite(output: Output, value_of: ValueOf) -> None:
    output["image"]["window"] = torch.tensor([[0.0, 0.0, 1.0, 1.0]]).repeat(5, 1)
    pair = [torch.from_numpy(display(t)) for t in (output["pred"]["super_resolution"], output["image"]["image"])]
    reference = PSNR(data_range=1.0)
    reference.update(pair)
    assert value_of(ImagePSNR("super_resolution"), output) == pytest.approx(reference.compute(), rel=1e-5)


def test_ssim_of_reconstruction_pastes_the_visible_patches(output: Output, value_of: ValueOf) -> None:
    values = []
    for sample in range(5):
        made, target = display(output["pred"]["reconstruction"][sample]), display(output["pred"]["target"][sample])
        values.append(similarity(np.where(removed(output, sample), made, target), target))
    assert value_of(ImageSSIM("reconstruction"), output) == pytest.approx(np.mean(values), rel=1e-4)


def test_ssim_of_super_resolution_is_that_of_the_crop(output: Output, value_of: ValueOf, rows_of: RowsOf) -> None:
    values = []
    for sample in range(2):
        crop = (slice(None), *crop_of(output, sample))
        made, target = display(output["pred"]["super_resolution"][sample]), display(output["image"]["image"][sample])
        values.append(similarity(made[crop], target[crop]))
    assert value_of(ImageSSIM("super_resolution"), rows_of(output, slice(0, 2))) == pytest.approx(
        np.mean(values), rel=1e-3
    )


@pytest.mark.parametrize(("kind", "part"), METRICS)
def test_batch_split_changes_nothing(
    output: Output, value_of: ValueOf, rows_of: RowsOf, kind: Callable[..., EpochMean], part: Any
) -> None:
    parts = [rows_of(output, slice(0, 2)), rows_of(output, slice(2, 3)), rows_of(output, slice(3, 5))]
    assert value_of(kind(part), *parts) == pytest.approx(value_of(kind(part), output), rel=1e-6)


def test_more_images_than_a_chunk_are_all_measured(output: Output, value_of: ValueOf) -> None:
    """Twice the samples, more than are filtered at a time: the same mean."""
    twice = {
        "image": {key: torch.cat([value, value]) for key, value in output["image"].items()},
        "pred": {key: torch.cat([value, value]) for key, value in output["pred"].items() if value.ndim},
    }
    assert value_of(ImageSSIM(), twice) == pytest.approx(value_of(ImageSSIM(), output), rel=1e-6)


@pytest.mark.parametrize(("kind", "best"), [(ImagePSNR, 100.0), (ImageSSIM, 1.0)])
def test_perfect_images_reach_the_best_value(
    output: Output, value_of: ValueOf, kind: Callable[..., EpochMean], best: float
) -> None:
    output["pred"]["reconstruction"] = output["pred"]["target"]
    output["pred"]["super_resolution"] = output["image"]["image"]
    for part in ("reconstruction", "super_resolution"):
        assert value_of(kind(part), output) == pytest.approx(best, abs=1e-4)


@pytest.mark.parametrize(("kind", "part"), METRICS)
def test_half_precision_and_meta_tensors_are_taken(
    output: Output, value_of: ValueOf, kind: Callable[..., EpochMean], part: Any
) -> None:
    expected = value_of(kind(part), output)
    output["image"]["image"] = MetaTensor(output["image"]["image"])
    for key in ("target", "reconstruction", "super_resolution"):
        output["pred"][key] = output["pred"][key].bfloat16()
    assert value_of(kind(part), output) == pytest.approx(expected, rel=0.02)


def test_image_without_counted_pixels_does_not_count(output: Output, value_of: ValueOf, rows_of: RowsOf) -> None:
    rest = rows_of(output, slice(1, 5))
    output["image"]["window"][0] = torch.tensor([0.3, 0.3, 0.3, 0.9])
    output["pred"]["mask"][0] = 0
    for kind, part in METRICS:
        if (kind, part) != (ImageSSIM, "reconstruction"):
            assert value_of(kind(part), output) == pytest.approx(value_of(kind(part), rest), rel=1e-6)


def test_no_window_in_the_epoch_gives_nan(output: Output, value_of: ValueOf) -> None:
    output["image"]["window"] = torch.zeros(5, 4)
    assert math.isnan(value_of(ImagePSNR("super_resolution"), output))
    assert math.isnan(value_of(ImageSSIM("super_resolution"), output))


@pytest.mark.parametrize(("kind", "part"), METRICS)
def test_diverged_network_is_not_hidden(
    output: Output, value_of: ValueOf, kind: Callable[..., EpochMean], part: Any
) -> None:
    output["pred"][part] = torch.full_like(output["pred"][part], torch.nan)
    assert math.isnan(value_of(kind(part), output))


def test_mean_and_std_per_channel(output: Output, value_of: ValueOf) -> None:
    one = value_of(ImagePSNR(mean=0.5, std=0.2), output)
    assert value_of(ImagePSNR(mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2)), output) == one
    assert value_of(ImagePSNR(mean=(0.1, 0.5, 0.9), std=0.2), output) != one


def test_unknown_part_is_named() -> None:
    with pytest.raises(ValueError, match="got 'latent'"):
        ImagePSNR("latent")  # type: ignore[arg-type]


def test_mask_that_does_not_tile_is_named(output: Output, value_of: ValueOf) -> None:
    output["pred"]["mask"] = output["pred"]["mask"][:, :15]
    with pytest.raises(ValueError, match="mask of 15 patches"):
        value_of(ImagePSNR(), output)
