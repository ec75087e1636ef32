# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A chart as SVG that takes its fonts and colors from the page around it."""

from __future__ import annotations

import io
import math
import re
from typing import Any

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from radbundles.components.reports.blocks import Curve, Line

__all__ = ["chart_svg", "describe_line", "points"]

# Matplotlib writes fixed colors; these stand in for the variables of page.css, which follow the reader's theme.
_COLORS = {f"#0000f{number}": f"var(--line-{number})" for number in range(1, 6)}
_COLORS |= {"#00000a": "var(--muted)", "#00000b": "var(--rule)"}
_DASHES = ("solid", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (9, 3)))  # told apart without color too
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "radbundles",
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "font.size": 10.5,
    "axes.edgecolor": "#00000a",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#00000b",
    "grid.linewidth": 0.8,
    "text.color": "#00000a",
    "axes.labelcolor": "#00000a",
    "xtick.color": "#00000a",
    "ytick.color": "#00000a",
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
    "path.simplify": True,
    "path.simplify_threshold": 0.5,
}


def points(line: Line, x: str, log: bool = False) -> list[tuple[float, float]]:
    """Points of a line that a chart can show: finite, and above zero on a logarithmic scale."""
    pairs = ((row.get(x), row.get(line.key)) for row in line.rows)
    known = [(float(a), float(b)) for a, b in pairs if a is not None and b is not None]
    return [(a, b) for a, b in known if math.isfinite(a) and math.isfinite(b) and (b > 0 or not log)]


def describe_line(line: Line, x: str, log: bool = False) -> str:
    """Say in words where a line begins and ends."""
    shown = points(line, x, log)
    if not shown:
        return f"{line.label}: no values"
    (first, start), (last, end) = shown[0], shown[-1]
    return f"{line.label}: {start:.4g} at {x} {first:g}, {end:.4g} at {x} {last:g}"


def chart_svg(curve: Curve, prefix: str) -> str:
    """Draw a chart.

    Args:
        curve: what to draw, at most five lines.
        prefix: begins every id in the drawing, so that several drawings live in one page.

    Returns:
        An ``<svg>`` element for an HTML page, the same bytes for the same curve.

    Raises:
        ValueError: more than five lines.
    """
    if len(curve.lines) > len(_DASHES):
        raise ValueError(
            f"chart {curve.title!r} has {len(curve.lines)} lines, at most {len(_DASHES)} can be told apart"
        )
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(5.6, 3.0), layout="constrained")
        axes = figure.add_subplot()
        for number, line in enumerate(curve.lines):
            shown = points(line, curve.x, curve.log)
            style: dict[str, Any] = {"color": f"#0000f{number + 1}", "linestyle": _DASHES[number], "linewidth": 1.8}
            if len(shown) <= 30:  # a few epochs are seen as points; a single one would be no line at all
                style |= {"marker": "o", "markersize": 3.5}
            axes.plot([a for a, _ in shown], [b for _, b in shown], **style)
        if curve.log:
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}".replace("-", "\u2212")))
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=curve.x in ("epoch", "iteration")))
        if curve.limits is not None:
            low, high = curve.limits
            margin = (high - low) / 50  # a line along the border is seen whole
            axes.set(xlim=(low - margin, high + margin), ylim=(low - margin, high + margin))
        axes.set_xlabel(curve.x)
        stream = io.StringIO()
        # Metadata set to None is left out: a date would make every file differ.
        FigureCanvasSVG(figure).print_svg(stream, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return _adapt(stream.getvalue(), prefix)


def _adapt(svg: str, prefix: str) -> str:
    """Turn the SVG file into an element of a page: no addresses, no ids or styles that reach beyond it."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>|<!--.*?-->", "", svg, flags=re.S)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"| version="[^"]*"', "", svg).replace("xlink:href", "href")
    svg = re.sub(r'<svg [^>]*(viewBox="[^"]*")[^>]*>', r'<svg \1 aria-hidden="true" focusable="false">', svg, count=1)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}-", svg)
    svg = re.sub(r"font: ([\d.]+px)[^;\"]*", r"font-size: \1", svg)
    for color, variable in _COLORS.items():
        svg = svg.replace(color, variable)
    return re.sub(r"\n\s*", "\n", svg).strip()
