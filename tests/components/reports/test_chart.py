# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Charts: what is drawn, in which scale, and that nothing reaches beyond the drawing."""

from __future__ import annotations

import math
import re

import pytest

from radbundles.components.reports import Curve, Line
from radbundles.components.reports.chart import chart_svg, points

ROWS: list[dict[str, float | None]] = [
    {"epoch": 1, "loss": 100.0},
    {"epoch": 2, "loss": math.nan},
    {"epoch": 3, "loss": None},
    {"epoch": 4, "loss": 10.0},
    {"epoch": 5, "other": 1.0},
    {"epoch": 6, "loss": 1.0},
    {"epoch": 7, "loss": 0.0},
]
LINE = Line(label="training", rows=ROWS, key="loss")


def heights(svg: str) -> list[float]:
    """Ordinates of the points of the first line."""
    path = next(m[1] for m in re.finditer(r'<path d="([^"]*)"[^>]*style="[^"]*stroke: var\(--line-1\)', svg))
    return [float(y) for _, y in re.findall(r"[ML] ([\d.-]+) ([\d.-]+)", path)]


def test_only_finite_values_are_points() -> None:
    assert points(LINE, "epoch") == [(1, 100), (4, 10), (6, 1), (7, 0)]
    assert points(LINE, "epoch", log=True) == [(1, 100), (4, 10), (6, 1)]


def test_logarithmic_scale_spaces_powers_evenly() -> None:
    a, b, c = heights(chart_svg(Curve(title="t", lines=[LINE], log=True), "x"))
    assert b - a == pytest.approx(c - b, rel=1e-3)
    a, b, c, _ = heights(chart_svg(Curve(title="t", lines=[LINE]), "x"))
    assert b - a == pytest.approx(10 * (c - b), rel=1e-3)


def test_colors_and_ids_are_those_of_the_page() -> None:
    svg = chart_svg(Curve(title="t", lines=[LINE, LINE, LINE, LINE, LINE]), "chart-7")
    assert all(f"var(--line-{number})" in svg for number in range(1, 6))
    assert "#0000" not in svg and "<style" not in svg and "xmlns" not in svg and "font:" not in svg
    assert all(name.startswith("chart-7-") for name in re.findall(r'\bid="([^"]*)"', svg))


def test_chart_without_any_value_is_drawn_empty() -> None:
    svg = chart_svg(Curve(title="t", lines=[Line(label="none", rows=[], key="loss")], log=True), "x")
    assert svg.startswith("<svg viewBox=") and svg.endswith("</svg>")


def test_more_lines_than_can_be_told_apart_are_refused() -> None:
    with pytest.raises(ValueError, match="chart 'many' has 6 lines"):
        chart_svg(Curve(title="many", lines=[LINE] * 6), "x")
