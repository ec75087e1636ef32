# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The page that a demonstration ends in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from radbundles.components.reports import (
    Curve,
    Curves,
    DistilledReports,
    HeatMaps,
    ImageGrid,
    KeyFigure,
    Line,
    MaskedText,
    Page,
    Table,
)
from radbundles.demo.examples import Examples
from radbundles.demo.grounding import GroundingResult
from radbundles.demo.history import Rows
from radbundles.demo.masks import MasksResult

# Metric of evaluate.json -> (heading, unit, factor, decimals).
FIGURES = {
    "entity_accuracy": ("Masked entity words predicted", "%", 100.0, 1),
    "token_accuracy": ("All masked words predicted", "%", 100.0, 1),
    "reconstruction_psnr": ("Reconstruction PSNR, hidden patches", "dB", 1.0, 2),
    "reconstruction_ssim": ("Reconstruction SSIM, whole image", "", 1.0, 3),
    "super_resolution_psnr": ("Super-resolution PSNR, in the window", "dB", 1.0, 2),
    "super_resolution_ssim": ("Super-resolution SSIM, in the window", "", 1.0, 3),
}
KEY_FIGURES = ("entity_accuracy", "token_accuracy", "reconstruction_psnr", "super_resolution_psnr")


def figure(name: str, value: float) -> str:
    """Write a metric as the page and the console show it."""
    _, unit, factor, decimals = FIGURES[name]
    return f"{value * factor:.{decimals}f}{' ' + unit if unit else ''}"


def make_page(
    *,
    lead: str,
    trained: Mapping[str, float],
    untrained: Mapping[str, float],
    training: Rows,
    validation: Rows,
    examples: Examples,
    grounding: GroundingResult,
    masks: MasksResult | None,
    summary: Mapping[str, Any],
    manifest: Mapping[str, Any],
    section: str,
    show_text: bool,
) -> Page:
    """Lay out curves, pictures, masked words, heat maps and the run manifest.

    Args:
        lead: one sentence on what was done.
        trained: metrics of the trained model.
        untrained: the same of a model of the same shape with its initial weights.
        training: history of the training losses.
        validation: history of the validation metrics.
        examples: a few samples.
        grounding: of stage 1 of DCXFM.
        masks: of its stage 2.
        summary: of the distillation.
        manifest: of the run.
        section: of the datalist that the metrics and samples are from.
        show_text: whether words of reports are shown.
    """

    def curve(title: str, key: str) -> Curve:
        lines = [Line(label="training", rows=training, key=key), Line(label="validation", rows=validation, key=key)]
        return Curve(title=title, lines=lines)

    return Page(
        title="Pre-training on radiographs and reports",
        lead=lead,
        key_figures=[
            *grounding.key_figures,
            *(masks.key_figures if masks else ()),
            *(
                KeyFigure(
                    label=FIGURES[name][0],
                    value=figure(name, trained[name]),
                    baseline=figure(name, untrained[name]),
                    note="baseline: the same model, untrained",
                )
                for name in KEY_FIGURES
            ),
        ],
        blocks=[
            *grounding.blocks,
            *(masks.blocks if masks else ()),
            ImageGrid(
                title="What the image part paints",
                text=f"Samples of the {section} section, which the model was not trained on. It sees the quarter "
                "of the patches that is left in the first column.",
                columns=list(examples.panels[0]),
                rows=[list(panels.values()) for panels in examples.panels],
            ),
            MaskedText(
                title="Masked words, read in the light of the image",
                text="About three of four words are hidden; distilled sentences stand among those of the report.",
                reports=examples.texts,
            ),
            HeatMaps(
                title="Where the words of entities look",
                text="Attention of the fusion layer on the whole image, in the order of the patch grid. It is what the "
                "model uses to fill in words, not a localization of disease.",
                heat_maps=examples.heat_maps,
            ),
            DistilledReports(
                title="Reports and what was distilled from them",
                text=f"{summary['reports']:,} reports gave {summary['sentences']:,} sentences.",
                reports=examples.distilled,
            ),
            Curves(
                title="Training of ECAMP",
                curves=[
                    curve("Masked image modeling", "mim"),
                    curve("Context-guided super-resolution", "sr"),
                    curve("Masked language modeling", "mlm"),
                    Curve(
                        title="Accuracy on masked words (validation)",
                        lines=[
                            Line(label="entities", rows=validation, key="entity_accuracy"),
                            Line(label="all words", rows=validation, key="token_accuracy"),
                        ],
                    ),
                ],
            ),
            Table(
                title=f"Figures on the {section} section",
                columns=["Measure", "Trained", "Untrained"],
                rows=[[FIGURES[n][0], figure(n, trained[n]), figure(n, untrained[n])] for n in FIGURES],
            ),
        ],
        manifest=manifest,
        show_text=show_text,
    )
