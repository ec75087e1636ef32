# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What a page is made of: key figures, curves, images, heat maps, masked text, distilled reports, tables."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from numpy.typing import ArrayLike

from radbundles.components.reports.tokens import Token

__all__ = [
    "Curve",
    "Curves",
    "DistilledReport",
    "DistilledReports",
    "Finding",
    "HeatMap",
    "HeatMaps",
    "ImageGrid",
    "KeyFigure",
    "Line",
    "MaskedReport",
    "MaskedText",
    "Page",
    "Picture",
    "Table",
]

Cell = str | int | float | None


@dataclass(frozen=True, kw_only=True)
class KeyFigure:
    """One number that a reader should remember.

    Args:
        label: what it measures.
        value: the number, or a text shown as it is.
        baseline: what a trivial method or the untrained network reaches.
        unit: shown behind both.
        note: one short line of context.
    """

    label: str
    value: Cell
    baseline: Cell = None
    unit: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a chart: the value ``key`` of a history.

    Args:
        label: name in the legend.
        rows: history, one mapping an epoch or iteration; rows that lack the key or hold no finite number are left out.
        key: name of the value.
    """

    label: str
    rows: Sequence[Mapping[str, float | None]]
    key: str


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One chart.

    Args:
        title: what is shown.
        lines: e.g. training and validation, up to five.
        x: name of the abscissa in the rows; ``epoch`` and ``iteration`` are marked at whole numbers.
        log: logarithmic ordinate.
        limits: range of both axes, (0, 1) where shares are drawn over shares; by default that of the lines.
    """

    title: str
    lines: Sequence[Line]
    x: str = "epoch"
    log: bool = False
    limits: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class Curves:
    """Section of charts, two beside each other where there is room."""

    title: str
    curves: Sequence[Curve]
    text: str = ""
    kind: Literal["curves"] = field(default="curves", init=False)


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One image.

    Args:
        image: [H, W] gray or [H, W, 3] RGB, in [0, 1].
        alt: what it shows, for those who cannot see it.
        caption: one line below; a :class:`ReportText` if it has words of a report.
    """

    image: ArrayLike
    alt: str
    caption: str = ""


@dataclass(frozen=True, kw_only=True)
class ImageGrid:
    """Section of images in rows and columns.

    Args:
        title: heading.
        columns: head of each column.
        rows: rows of pictures, each as long as ``columns``; None leaves a place empty.
        text: what to see, one or two sentences.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Picture | None]]
    text: str = ""
    kind: Literal["images"] = field(default="images", init=False)

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise ValueError(f"row {number} has {len(row)} pictures for {len(self.columns)} columns")


@dataclass(frozen=True, kw_only=True)
class HeatMap:
    """Where a model looked for each of some words.

    Args:
        image: [H, W] gray or [H, W, 3] RGB, in [0, 1].
        maps: word -> weights [h, w] over the whole image, none negative. The words count as report text.
        alt: what the image shows.
    """

    image: ArrayLike
    maps: Mapping[str, ArrayLike]
    alt: str


@dataclass(frozen=True, kw_only=True)
class HeatMaps:
    """Section of heat maps; one scale of colors for the maps of one image, from zero to their maximum.

    Args:
        title: heading.
        heat_maps: one an image.
        quantity: what the weights are, e.g. ``attention``.
        text: what to see.
    """

    title: str
    heat_maps: Sequence[HeatMap]
    quantity: str = "attention"
    text: str = ""
    kind: Literal["heat_maps"] = field(default="heat_maps", init=False)


@dataclass(frozen=True, kw_only=True)
class MaskedReport:
    """One report with masked words."""

    label: str
    tokens: Sequence[Token]


@dataclass(frozen=True, kw_only=True)
class MaskedText:
    """Section of reports with masked words, right and wrong predictions, and a legend."""

    title: str
    reports: Sequence[MaskedReport]
    text: str = ""
    kind: Literal["masked_text"] = field(default="masked_text", init=False)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that a distiller found.

    Args:
        text: sentence or entity.
        certainty: what the report says of it.
        section: section of the report that says so; empty if unknown.
        start: first character of the evidence in that section.
        end: character after the last one.
        detail: what the report says about it beyond that, e.g. its descriptors.
    """

    text: str
    certainty: Literal["present", "uncertain", "absent"]
    section: str = ""
    start: int = 0
    end: int = 0
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class DistilledReport:
    """A report beside what was distilled from it.

    Args:
        label: e.g. the id of the item.
        sections: section name -> text.
        findings: findings in the order in which they are to be shown.
    """

    label: str
    sections: Mapping[str, str]
    findings: Sequence[Finding]

    @classmethod
    def from_record(cls, label: str, sections: Mapping[str, str], record: Mapping[str, Any]) -> DistilledReport:
        """Take a record of ``distilled.schema.json``: its sentences, or its entities if those are not as many."""
        entities = record["entities"]
        sentences = re.split(r"(?<=\.)\s+", record["text"].strip())
        if len(sentences) != len(entities):
            sentences = [entity["entity"] for entity in entities]
        findings = [
            Finding(
                text=sentence,
                certainty=entity["certainty"],
                detail=", ".join(entity["descriptors"]),
                **{key: entity["evidence"][key] for key in ("section", "start", "end")},
            )
            for sentence, entity in zip(sentences, entities, strict=True)
        ]
        return cls(label=label, sections=sections, findings=findings)


@dataclass(frozen=True, kw_only=True)
class DistilledReports:
    """Section of distilled reports."""

    title: str
    reports: Sequence[DistilledReport]
    text: str = ""
    kind: Literal["distilled"] = field(default="distilled", init=False)


@dataclass(frozen=True, kw_only=True)
class Table:
    """Section with one table; a column that holds only numbers is set flush right.

    Args:
        title: heading.
        columns: head of each column.
        rows: cells; None shows a dash.
        text: what to see.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    text: str = ""
    kind: Literal["table"] = field(default="table", init=False)

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise ValueError(f"row {number} has {len(row)} cells for {len(self.columns)} columns")


Block = Curves | ImageGrid | HeatMaps | MaskedText | DistilledReports | Table


@dataclass(frozen=True, kw_only=True)
class Page:
    """A report of a run.

    Args:
        title: heading of the page.
        lead: one sentence that says what was done and what came out.
        key_figures: shown in a row at the top.
        blocks: sections, in order.
        manifest: run manifest, shown folded at the end.
        show_text: whether words of reports are shown; otherwise dots as long as they stand in their place.
        max_side: longest side of an image in pixels.
    """

    title: str
    lead: str
    key_figures: Sequence[KeyFigure] = ()
    blocks: Sequence[Block] = ()
    manifest: Mapping[str, Any] | None = None
    show_text: bool = True
    max_side: int = 384
