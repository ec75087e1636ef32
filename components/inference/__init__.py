# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What a trained network tells about an image and its report."""

from __future__ import annotations

from radbundles.components.inference.annotate_windows import (
    WindowSummary,
    annotate_windows,
    report_attention_transform,
)
from radbundles.components.inference.attention_windows import context_windows, entity_attention, entity_heat_map
from radbundles.components.inference.entity_prompts import entity_prompts
from radbundles.components.inference.image_folder import ImageBatches, gather_images, list_images
from radbundles.components.inference.radiograph_check import (
    Concern,
    RadiographRefused,
    check_radiograph,
    require_radiograph,
)
from radbundles.components.inference.require_radiographd import RequireRadiographd
from radbundles.components.inference.write_maps import DescribeInferer, WriteEntityMaps

__all__ = [
    "Concern",
    "DescribeInferer",
    "ImageBatches",
    "RadiographRefused",
    "RequireRadiographd",
    "WindowSummary",
    "WriteEntityMaps",
    "annotate_windows",
    "check_radiograph",
    "context_windows",
    "entity_attention",
    "entity_heat_map",
    "entity_prompts",
    "gather_images",
    "list_images",
    "report_attention_transform",
    "require_radiograph",
]
