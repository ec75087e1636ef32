# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Datalists: the data contract, reading and writing, building from collections, checking.

Work on datalists needs neither torch nor MONAI, so what does (batches, seeded epochs) is imported when it is asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from radbundles.components.data.add_zones import ZoneReport, add_zone_phrases
from radbundles.components.data.annotated_classes import annotated_classes
from radbundles.components.data.build import BuildReport, build_datalist
from radbundles.components.data.check import CheckReport, check_datalist
from radbundles.components.data.datalist import iter_datalist, load_datalist, write_datalist
from radbundles.components.data.detection_items import load_detection_items
from radbundles.components.data.fault import FAULTS, Fault
from radbundles.components.data.fractions import take_fraction
from radbundles.components.data.guard import SplitLeakError, guard_sources, guard_splits
from radbundles.components.data.label_items import datalist_classes, load_label_items
from radbundles.components.data.layouts import LAYOUTS
from radbundles.components.data.mask_items import MaskItems, load_mask_sources
from radbundles.components.data.mask_source import MaskSource
from radbundles.components.data.schema import SPLITS, datalist_schema, is_valid_item, item_faults
from radbundles.components.data.segmentation_items import load_segmentation_items
from radbundles.components.data.source_report import SourceReport
from radbundles.components.data.split import PatientSplitter, SplitWarning
from radbundles.components.data.task_items import TaskItems
from radbundles.components.data.zone_phrases import LUNG_ZONES, lung_zone_masks, lung_zone_phrases, split_lungs

if TYPE_CHECKING:
    from radbundles.components.data.box_batch import collate_boxes
    from radbundles.components.data.collate import collate_labels, collate_masks, collate_reports, collate_views
    from radbundles.components.data.frame_batch import collate_frames
    from radbundles.components.data.mixed_sampler import MixedSampler
    from radbundles.components.data.seeded import EpochSampler, SeededDataset
    from radbundles.components.data.tokenizer_training import ReportCorpus, tokenizer_figures, train_tokenizer

_NEED_TORCH = {
    "collate_boxes": "box_batch",
    "collate_frames": "frame_batch",
    "collate_labels": "collate",
    "collate_masks": "collate",
    "collate_reports": "collate",
    "collate_views": "collate",
    "EpochSampler": "seeded",
    "MixedSampler": "mixed_sampler",
    "ReportCorpus": "tokenizer_training",
    "SeededDataset": "seeded",
    "tokenizer_figures": "tokenizer_training",
    "train_tokenizer": "tokenizer_training",
}


def __getattr__(name: str) -> Any:
    """Import a name that needs torch."""
    if name not in _NEED_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_NEED_TORCH[name]}"), name)
