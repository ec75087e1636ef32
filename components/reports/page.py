# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""One self-contained HTML page about a run: no script, nothing loaded from elsewhere, same input same bytes."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import radbundles
from radbundles.components.reports.blocks import Finding, HeatMap, Page
from radbundles.components.reports.chart import chart_svg, describe_line, points
from radbundles.components.reports.heat_map import color_stops, overlay_heat_map
from radbundles.components.reports.picture import png_data_uri
from radbundles.components.reports.report_text import ReportText

__all__ = ["render_page", "write_page"]


def write_page(path: str | Path, page: Page) -> None:
    """Write a page; an interrupted write leaves the old file.

    Args:
        path: the ``.html`` file; its folder is made.
        page: what it shows.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(render_page(page), encoding="utf-8")
    os.replace(temporary, path)


def render_page(page: Page) -> str:
    """Make the HTML text of a page.

    Everything but our own template and charts is escaped. Report text goes through :class:`ReportText`, which
    ``page.show_text=False`` turns into dots at the last moment, wherever it stands.
    """
    environment = Environment(
        loader=PackageLoader("radbundles.components.reports", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: value if page.show_text or not isinstance(value, ReportText) else value.hidden(),
    )
    environment.filters |= {"number": format_number, "report_text": ReportText}
    template = environment.get_template("page.html")
    return template.render(
        page=page,
        version=radbundles.__version__,
        png=partial(png_data_uri, max_side=page.max_side),
        chart=lambda curve, prefix: Markup(chart_svg(curve, prefix)),
        points=points,
        describe_line=describe_line,
        evidence=evidence_runs,
        overlays=partial(_overlays, max_side=page.max_side),
        color_stops=color_stops(),
        is_numeric=_is_numeric,
        flatten=flatten,
        pretty=partial(json.dumps, indent=2, ensure_ascii=False),
    )


def format_number(value: Any) -> Any:
    """Write a number for reading: four digits, thin blanks between thousands; a text stays; nothing is a dash."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    if isinstance(value, int) or (value.is_integer() and abs(value) >= 1000):
        return f"{int(value):,}".replace(",", "\u202f").replace("-", "\u2212")
    return f"{value:.4g}".replace("-", "\u2212")


def evidence_runs(text: str, section: str, findings: Sequence[Finding]) -> list[tuple[str, str]]:
    """Cut a section into pieces and name the certainty of the finding that each gives evidence for.

    Where the evidence of several findings overlaps, the first one counts.

    Returns:
        Pieces that make up the text, each with ``present``, ``uncertain``, ``absent`` or nothing.
    """
    certainty = [""] * len(text)
    for finding in findings:
        if finding.section == section:
            for place in range(max(finding.start, 0), min(finding.end, len(text))):
                certainty[place] = certainty[place] or finding.certainty
    starts = [place for place in range(len(text)) if place == 0 or certainty[place] != certainty[place - 1]]
    return [(text[a:b], certainty[a]) for a, b in pairwise([*starts, len(text)])]


def flatten(value: Any, name: str = "") -> list[tuple[str, Any]]:
    """Rows (dotted name, value) of nested mappings and lists."""
    if isinstance(value, Mapping):
        items = [(str(key), part) for key, part in value.items()]
    elif isinstance(value, (list, tuple)):
        items = [(str(number), part) for number, part in enumerate(value)]
    else:
        return [(name, value)]
    return [row for key, part in items for row in flatten(part, f"{name}.{key}" if name else key)]


def _overlays(heat_map: HeatMap, max_side: int) -> tuple[float, list[tuple[str, tuple[str, int, int]]]]:
    """Largest weight of the maps of one image, and (word, PNG of the overlay) for each."""
    maximum = max((float(np.max(weights)) for weights in heat_map.maps.values()), default=0.0)
    blended = (
        (word, overlay_heat_map(heat_map.image, weights, maximum=maximum)) for word, weights in heat_map.maps.items()
    )
    return maximum, [(word, png_data_uri(image, max_side)) for word, image in blended]


def _is_numeric(rows: Sequence[Sequence[Any]], column: int) -> bool:
    cells = [row[column] for row in rows if row[column] is not None]
    return bool(cells) and all(isinstance(cell, (int, float)) for cell in cells)
