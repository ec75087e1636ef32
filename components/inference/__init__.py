# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What a trained network tells about an image and its report."""

from __future__ import annotations

from radbundles.components.inference.annotate_windows import (
    WindowSummary,
    annotate_windows,
    report_attention_transform,
)
from radbundles.components.inference.answer_files import AnswerFiles, answer_schema
from radbundles.components.inference.attention_windows import context_windows, entity_attention, entity_heat_map
from radbundles.components.inference.class_rules import ClassRule, at_threshold, class_rules
from radbundles.components.inference.entity_prompts import entity_prompts
from radbundles.components.inference.image_folder import ImageBatches, gather_images, list_images
from radbundles.components.inference.outline import Polygon, outline
from radbundles.components.inference.panel_sheet import LabeledBox, Panel, draw_panels
from radbundles.components.inference.place_windows import Placed, place_windows
from radbundles.components.inference.preview import PreviewRadiographd
from radbundles.components.inference.radiograph_check import (
    Concern,
    RadiographRefused,
    check_radiograph,
    require_radiograph,
)
from radbundles.components.inference.require_radiographd import RequireRadiographd
from radbundles.components.inference.trained_ecamp import TrainedECAMP, load_trained_ecamp
from radbundles.components.inference.write_boxes import WriteBoxes
from radbundles.components.inference.write_labels import WriteLabels
from radbundles.components.inference.write_maps import DescribeInferer, WriteEntityMaps
from radbundles.components.inference.write_masks import write_masks
from radbundles.components.inference.write_segmentations import WriteSegmentations
from radbundles.components.inference.write_windows import write_windows

__all__ = [
    "AnswerFiles",
    "ClassRule",
    "Concern",
    "DescribeInferer",
    "ImageBatches",
    "LabeledBox",
    "Panel",
    "Placed",
    "Polygon",
    "PreviewRadiographd",
    "RadiographRefused",
    "RequireRadiographd",
    "TrainedECAMP",
    "WindowSummary",
    "WriteBoxes",
    "WriteEntityMaps",
    "WriteLabels",
    "WriteSegmentations",
    "annotate_windows",
    "answer_schema",
    "at_threshold",
    "check_radiograph",
    "class_rules",
    "context_windows",
    "draw_panels",
    "entity_attention",
    "entity_heat_map",
    "entity_prompts",
    "gather_images",
    "list_images",
    "load_trained_ecamp",
    "outline",
    "place_windows",
    "report_attention_transform",
    "require_radiograph",
    "write_masks",
    "write_windows",
]
