# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch

from radbundles.losses import class_weights


def test_a_label_weighs_its_known_negatives_over_its_positives() -> None:
    labels = np.array([[1, 1, 0, -1], [0, 1, 0, 1], [0, -1, 0, -1], [0, 0, -1, 1]], dtype=np.int8)
    assert class_weights(labels, "multilabel") == [3.0, 0.5, 1.0, 1.0]  # none positive; none negative


def test_rare_labels_are_capped_both_ways() -> None:
    labels = torch.zeros(101, 2, dtype=torch.int64)
    labels[0, 0], labels[1:, 1] = 1, 1
    assert class_weights(labels, "multilabel", cap=10) == pytest.approx([10, 0.1])


def test_exclusive_classes_weigh_the_inverse_of_their_number_with_mean_one() -> None:
    labels = torch.tensor([[1, 0, 0]] * 4 + [[0, 1, 0]] + [[-1, -1, -1]] * 3 + [[1, 1, 0]])
    weights = class_weights(labels, "multiclass")
    assert weights == pytest.approx([0.4, 1.6, 1.0])  # the third class has no samples
    assert class_weights(labels, "multiclass", cap=2) == pytest.approx([2 / 3, 4 / 3, 1])


def test_nothing_known_weighs_one() -> None:
    assert class_weights(torch.full((3, 2), -1), "multiclass") == [1.0, 1.0]
    assert class_weights(torch.zeros(0, 2), "multilabel") == [1.0, 1.0]


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\[N, K\], got \(2,\)"):
        class_weights(torch.zeros(2), "multilabel")
    with pytest.raises(ValueError, match="cap must be 1 or more, got 0.5"):
        class_weights(torch.zeros(2, 2), "multilabel", cap=0.5)
    with pytest.raises(ValueError, match="got 'binary'"):
        class_weights(torch.zeros(2, 2), "binary")  # type: ignore[arg-type]
