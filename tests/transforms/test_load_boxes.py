# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
import torch
from monai.data import MetaTensor

from radbundles.transforms import FitRadiographd, FittedFrame, LoadBoxesd, RadiographReadError

CLASSES = ["nodule", "effusion"]


def item(boxes: dict[str, Any] | None, **extra: Any) -> dict[str, Any]:
    image = torch.zeros(1, 20, 30)
    return {"id": "x", "image": MetaTensor(image), **({} if boxes is None else {"boxes": boxes}), **extra}


def test_boxes_become_tensors_in_the_order_of_the_item() -> None:
    found = LoadBoxesd(CLASSES)(item({"effusion": [[1, 2, 4.5, 6]], "nodule": [[0, 0, 30, 20], [3, 3, 4, 4]]}))
    assert found["boxes"].tolist() == [[1, 2, 4.5, 6], [0, 0, 30, 20], [3, 3, 4, 4]]
    assert (found["boxes"].dtype, found["stored_boxes"].dtype) == (torch.float32, torch.float64)
    assert found["box_classes"].tolist() == [1, 0, 0] and found["box_classes"].dtype == torch.int64
    assert found["size"].tolist() == [20, 30] and found["size"].dtype == torch.int64


@pytest.mark.parametrize("boxes", [None, {}, {"nodule": []}])
def test_a_negative_image_has_empty_tensors(boxes: dict[str, Any] | None) -> None:
    found = LoadBoxesd(CLASSES)(item(boxes))
    assert found["boxes"].shape == found["stored_boxes"].shape == (0, 4)
    assert found["box_classes"].shape == (0,) and found["box_classes"].dtype == torch.int64
    fitted = FitRadiographd("image", size=16, box_keys="boxes")(found)
    assert fitted["boxes"].shape == (0, 4)


def test_boxes_move_with_the_image_and_the_stored_ones_stay() -> None:
    sample = item({"nodule": [[6, 4, 12, 9], [20, 10, 30, 20]]})
    for x0, y0, x1, y1 in sample["boxes"]["nodule"]:
        sample["image"][:, y0:y1, x0:x1] = 1  # the image is the filled boxes
    found = FitRadiographd("image", size=60, box_keys="boxes")(LoadBoxesd(CLASSES)(sample))
    drawn = torch.zeros(60, 60)
    for x0, y0, x1, y1 in found["boxes"].round().long().tolist():
        drawn[y0:y1, x0:x1] = 1
    assert torch.equal(found["image"][0].as_tensor() > 0.5, drawn > 0)
    assert found["stored_boxes"].tolist() == sample["boxes"]["nodule"]
    height, width = found["size"].tolist()
    back = FittedFrame(height, width, 60).boxes_to_original(found["boxes"])
    torch.testing.assert_close(back.double(), found["stored_boxes"], atol=1e-4, rtol=0)


def test_boxes_are_cut_at_the_border() -> None:
    found = LoadBoxesd(CLASSES)(item({"nodule": [[-3, 5, 40, 21.5]]}))
    assert found["boxes"].tolist() == [[0, 5, 30, 20]]


@pytest.mark.parametrize(
    ("boxes", "extra", "fault"),
    [
        ({"nodule": [[4, 2, 1, 6]]}, {}, r"'x', class 'nodule': the box \[4, 2, 1, 6\] is inverted"),
        ({"nodule": [[1, 2, 1, 6]]}, {}, "no area"),
        ({"nodule": [[1, 20, 3, 22]]}, {}, "outside of the image, 30 x 20"),
        ({"nodule": [[1, 2, float("nan"), 6]]}, {}, "four finite numbers"),
        ({"nodule": [[1, 2, 3]]}, {}, "four finite numbers"),
        ({"rib": [[1, 2, 3, 4]]}, {}, "'rib', which is none of the classes"),
        ({"nodule": [[1, 2, 3, 4]]}, {"size": [20, 30]}, "another one"),
    ],
)
def test_what_cannot_be_learned_is_refused(boxes: dict[str, Any], extra: dict[str, Any], fault: str) -> None:
    with pytest.raises(RadiographReadError, match=fault):
        LoadBoxesd(CLASSES)(item(boxes, **extra))


def test_a_fitted_image_is_refused() -> None:
    with pytest.raises(ValueError, match="in front of FitRadiographd"):
        LoadBoxesd(CLASSES)(FitRadiographd("image", size=16)(item({})))


@pytest.mark.parametrize("classes", ["nodule", [], ["a", "a"]])
def test_classes_are_different_names(classes: Any) -> None:
    with pytest.raises(ValueError, match="different names"):
        LoadBoxesd(classes)
