# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The page about an evaluation, and its charts."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from radbundles.components.evaluation import (
    ClassificationEvaluator,
    PredictionTable,
    as_json,
    evaluation_page,
    operating_points,
)
from radbundles.components.reports import Curve, Curves, Line, Page, Table, render_page
from radbundles.components.reports.chart import chart_svg


def page(task: Any = "multilabel", points: bool = True, classes: int = 7) -> Page:
    random = np.random.default_rng(0)
    names = tuple(f"class {k}" for k in range(classes))
    labels: NDArray[Any] = random.integers(0, 2, (60, classes))
    if task == "multiclass":
        labels = np.eye(classes)[random.integers(0, classes, 60)]
    labels[:, -1] = 0  # the last is absent
    table = PredictionTable(
        task=task,
        classes=names,
        ids=tuple(map(str, range(60))),
        clusters=np.arange(60) // 2,
        logits=random.normal(size=labels.shape) + labels,
        labels=labels.astype(np.int8),
        groups=tuple({"sex": "FM"[n % 2], "metadata.site": "<b>North</b>" if n < 40 else "South"} for n in range(60)),
    )
    judge = ClassificationEvaluator(names, task, resamples=20)
    chosen = operating_points(table) | {"section": "validation"} if points else None
    result, blocks, _ = judge.judge(table, chosen)
    return evaluation_page(as_json({"section": "test", **result}), blocks, title="ecamp_classification")


def block(shown: Page, title: str) -> Any:
    return next(part for part in shown.blocks if part.title == title)


def test_every_score_of_every_class_is_shown_with_its_interval() -> None:
    shown = page()
    tables = [part for part in shown.blocks if isinstance(part, Table) and part.title.startswith("Per class")]
    heads = [head for part in tables for head in part.columns]
    for head in ("present", "absent", "unknown", "threshold", "AUROC", "AUPRC", "sensitivity", "PPV", "MCC", "ECE"):
        assert heads.count(head) == 1
    assert all(len(part.rows) == 7 for part in tables)
    first = tables[0].rows[0][tables[0].columns.index("AUROC")]
    assert re.fullmatch(r"0\.\d{3} \(0\.\d{3} to [01]\.\d{3}\)", str(first))
    last = tables[0].rows[-1][tables[0].columns.index("AUROC")]
    assert last is None, "what is not defined is a dash"


def test_lead_and_figures_tell_the_first_score_and_whom_it_is_about() -> None:
    shown = page()
    auroc = block(shown, "Over the classes").rows[0]
    assert "60 samples of 30 patients in the section “test”" in shown.lead and f"AUROC {auroc[1]}" in shown.lead
    assert [figure.label for figure in shown.key_figures] == ["AUROC", "AUPRC", "sensitivity", "specificity"]
    assert shown.key_figures[0].value == str(auroc[1])[:5]


def test_where_the_operating_points_come_from_is_told() -> None:
    assert "section “validation”, by the rule youden" in block(page(), "Operating points").text
    assert not [part for part in page(points=False).blocks if part.title == "Operating points"]
    assert block(page("multiclass"), "Operating points").columns == ["temperature"]


def test_calibration_is_a_table_and_a_picture() -> None:
    assert block(page(), "Calibration").columns == ["score", "before temperature scaling", "after temperature scaling"]
    picture = block(page(), "Reliability")
    assert isinstance(picture, Curves)
    assert [line.label for line in picture.curves[0].lines][-1] == "as it should be"
    shares = [row["share"] for row in picture.curves[1].lines[0].rows]
    assert sum(share for share in shares if share is not None) == pytest.approx(1)
    assert len(block(page(points=False), "Reliability").curves[0].lines) == 2, "there is no after"


def test_more_classes_than_a_chart_can_show_get_several() -> None:
    curves = block(page(), "At every threshold").curves
    assert [len(curve.lines) for curve in curves] == [5, 5, 1, 1], "six classes have both outcomes"
    for curve in curves:
        for line in curve.lines:
            assert all(0 <= row[curve.x] <= 1 and 0 <= row["y"] <= 1 for row in line.rows)


def test_choice_has_its_confusion_matrix() -> None:
    shown = block(page("multiclass", classes=4), "Confusion")
    assert shown.columns == ["true", *(f"called class {k}" for k in range(4)), "samples"]
    assert re.fullmatch(r"\d+ \(\d+%\)", shown.rows[0][1])
    assert shown.rows[-1][1:] == ["0"] * 4 + [0], "an absent class has no shares"
    assert "Over the classes" in {part.title for part in page("multiclass").blocks}


def test_page_is_whole_and_escapes_what_comes_from_the_datalist() -> None:
    html = render_page(page())
    assert "<b>North" not in html and "&lt;b&gt;North" in html
    assert "By site" in html and "By sex" in html and "src=" not in html
    assert "Not a medical device" in html and "Left out of the means" in html


def test_result_of_another_task_is_laid_out_too() -> None:
    result = {
        "task": "detection",
        "section": "test",
        "samples": 9,
        "patients": 4,
        "classes": {"lung": {"boxes": 12, "ap50": [0.5, None, None]}},
        "mean": {"map": [None, None, None]},
    }
    shown = evaluation_page(result, title="x")
    assert block(shown, "Per class").rows == [["lung", 12, "0.500"]]
    assert shown.lead == "Detection judged on 9 samples of 4 patients in the section “test”."
    assert "AP50" in render_page(shown)


def test_chart_of_shares_is_marked_between_zero_and_one() -> None:
    line = Line(label="a", rows=[{"x": 0.0, "y": 0.5}, {"x": 1.0, "y": 0.75}], key="y")
    shares = chart_svg(Curve(title="t", lines=[line], x="x", limits=(0, 1)), "p")
    assert ">0.2<" in shares and ">0.4<" in shares
    epochs = chart_svg(Curve(title="t", lines=[Line(label="a", rows=[{"epoch": 1.0, "y": 2.0}], key="y")]), "p")
    assert ">0.2<" not in epochs
