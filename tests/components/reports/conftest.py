# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A page with every kind of block, with words of a report wherever they can stand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from radbundles.components.reports import (
    Curve,
    Curves,
    DistilledReport,
    DistilledReports,
    HeatMap,
    HeatMaps,
    ImageGrid,
    KeyFigure,
    Line,
    MaskedReport,
    MaskedText,
    Page,
    Picture,
    ReportText,
    Table,
    mark_tokens,
)

REPORT = {"findings": "Zebra effusion <script>alert('zebra')</script> & no quagga."}


def make_page(**changes: Any) -> Page:
    """The page, with some fields of :class:`Page` changed."""
    random = np.random.default_rng(0)
    history = [{"epoch": epoch, "loss": 9.0 / epoch, "accuracy": None} for epoch in range(1, 6)]
    steps = [{"iteration": step, "loss": value} for step, value in enumerate(random.random(20_000))]
    curves = [
        Curve(
            title="Loss",
            lines=[Line(label="training", rows=history, key="loss"), Line(label="test", rows=[], key="loss")],
            log=True,
        ),
        Curve(title="Loss by step", lines=[Line(label="training", rows=steps, key="loss")], x="iteration"),
    ]
    picture = Picture(image=random.random((1200, 900, 3)), alt='An "image" <b>', caption="first")
    gray = Picture(image=random.random((64, 64)), alt="small", caption=ReportText("zebra caption"))
    tokens = mark_tokens(
        ["[CLS]", "no", "zeb", "##ra", "quagga", ".", "[PAD]"],
        [False, False, True, True, True, False, False],
        ["zeb", "##ro", "zebra"],
        [False, False, True, True, True, False, False],
    )
    entities = [
        {
            "entity": "zebra effusion",
            "certainty": "present",
            "descriptors": ["large"],
            "evidence": {"section": "findings", "start": 0, "end": 14},
        },
        {
            "entity": "quagga",
            "certainty": "absent",
            "descriptors": [],
            "evidence": {"section": "findings", "start": 51, "end": 60},
        },
    ]
    record = {"text": "There is zebra effusion. There is no quagga.", "entities": entities}
    fields: dict[str, Any] = {
        "title": "Made-up <run>",
        "lead": "What was done & what came out.",
        "key_figures": [KeyFigure(label="Accuracy", value=61.234567, baseline=4, unit="%", note="of 1 024")],
        "blocks": [
            Curves(title="Curves", curves=curves, text="Falling."),
            ImageGrid(title="Images", columns=["One", "Two"], rows=[[picture, None], [gray, gray]]),
            MaskedText(title="Words", reports=[MaskedReport(label="item-1", tokens=tokens)]),
            HeatMaps(
                title="Heat",
                heat_maps=[HeatMap(image=random.random((32, 32)), maps={"zebra": random.random((4, 4))}, alt="chest")],
            ),
            DistilledReports(title="Distilled", reports=[DistilledReport.from_record("item-1", REPORT, record)]),
            Table(
                title="Table",
                columns=["Name", "Value"],
                rows=[[ReportText("quagga cell"), 1234567], ["plain", float("nan")], ["none", None]],
            ),
        ],
        "manifest": {"name": "x", "versions": {"torch": "2"}, "seeds": {"run": 1}, "config": {"k": ["<v>"]}},
    }
    return Page(**{**fields, **changes})


@pytest.fixture(scope="session")
def page_of() -> Callable[..., Page]:
    """Function (changes) -> page."""
    return make_page
