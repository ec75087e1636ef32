# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Tests of parts of the training items."""

from __future__ import annotations

import numpy as np
import pytest

from radbundles.components.data import TaskItems, take_fraction


def _items(patients: int = 300, images: int = 2) -> TaskItems:
    """Patients of which a tenth have the first class, half the second, one the third."""
    generator = np.random.default_rng(0)
    rows, labels = [], []
    for patient in range(patients):
        row = [int(patient % 10 == 0), int(generator.random() < 0.5), int(patient == 7)]
        for image in range(images):
            rows.append({"id": f"{patient}-{image}", "patient": str(patient), "image": "x.png"})
            labels.append(row if image == 0 else [0, 0, -1])  # findings are in the first image alone
    return TaskItems(rows, labels, ["tenth", "half", "single"])


def _patients(items: TaskItems) -> set[str]:
    return {item["patient"] for item in items}


def test_parts_are_nested_whole_patients_and_keep_the_classes() -> None:
    """1 % lies within 10 % within all; no patient is taken in part; rare classes stay."""
    items = _items()
    parts = [take_fraction(items, fraction, seed=3) for fraction in (0.01, 0.1, 0.5, 1)]
    for small, large in zip(parts, parts[1:], strict=False):
        assert _patients(small) < _patients(large)
    for part in parts:
        assert len(part) == 2 * len(_patients(part))
        assert (part.labels == 1).any(axis=0).all() and "7" in _patients(part)
        assert [item["labels"] for item in part] == part.labels.tolist()
    assert len(_patients(parts[1])) == pytest.approx(30, abs=2)
    assert (parts[2].labels[:, 0] == 1).sum() == 15


def test_part_depends_on_seed_and_patients_not_on_the_order() -> None:
    """Another order of the rows gives the same patients, another seed others."""
    items = _items()
    backwards = items.subset(np.arange(len(items))[::-1])
    assert _patients(take_fraction(items, 0.2, 1)) == _patients(take_fraction(backwards, 0.2, 1))
    assert _patients(take_fraction(items, 0.2, 1)) != _patients(take_fraction(items, 0.2, 2))


def test_items_without_a_patient_count_by_study_or_id() -> None:
    """Two images of a study stay together; a study is not mistaken for a patient of the same name."""
    rows = [{"id": f"s{n}{side}", "study": f"s{n}", "image": "x"} for n in range(20) for side in "ab"]
    rows += [{"id": f"i{n}", "image": "x"} for n in range(20)]
    taken = take_fraction(TaskItems(rows, [[0]] * 60, ["a"]), 0.5)
    names = [item["id"] for item in taken]
    assert all(f"{name[:-1]}a" in names and f"{name[:-1]}b" in names for name in names if name[0] == "s")
    assert len({name[:-1] if name[0] == "s" else name for name in names}) == 20


@pytest.mark.parametrize("fraction", [0, -0.1, 1.01, float("nan")])
def test_fraction_out_of_range(fraction: float) -> None:
    """It is refused with its value."""
    with pytest.raises(ValueError, match="fraction must be above 0"):
        take_fraction(_items(4), fraction)
