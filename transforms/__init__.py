# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""MONAI transforms for radiographs and their reports."""

from __future__ import annotations

if __name__ == "transforms":
    raise ImportError("import radbundles.transforms, not transforms: the folder is part of the package radbundles")

from radbundles.transforms.choose_sentence import ChooseSentenced
from radbundles.transforms.compose_report import REPORT_SECTIONS, ComposeReportd, compose_report
from radbundles.transforms.encode_labels import EncodeLabelsd
from radbundles.transforms.entity_masking import EntityMasking, ReportMask
from radbundles.transforms.entity_words import ECAMP_ENTITIES, entity_forms
from radbundles.transforms.fit_radiograph import (
    FitRadiograph,
    FitRadiographD,
    FitRadiographd,
    FitRadiographDict,
)
from radbundles.transforms.fitted_frame import FittedFrame
from radbundles.transforms.insert_distilled import InsertDistilledd, insert_distilled, insert_distilled_official
from radbundles.transforms.label_table import LabelTable, label_table
from radbundles.transforms.load_boxes import LoadBoxesD, LoadBoxesd, LoadBoxesDict
from radbundles.transforms.load_mask import LoadMaskD, LoadMaskd, LoadMaskDict
from radbundles.transforms.load_radiograph import LoadRadiograph, LoadRadiographD, LoadRadiographd, LoadRadiographDict
from radbundles.transforms.load_targets import LoadTargetsD, LoadTargetsd, LoadTargetsDict
from radbundles.transforms.mask_report import MaskReport, MaskReportd
from radbundles.transforms.multi_crop_radiograph import (
    MultiCropRadiographD,
    MultiCropRadiographd,
    MultiCropRadiographDict,
)
from radbundles.transforms.official_masking import OfficialMasking
from radbundles.transforms.radiograph_jitter import RandRadiographNoise, RandRadiographTone
from radbundles.transforms.rand_mask_augment import RandMaskAugmentD, RandMaskAugmentd, RandMaskAugmentDict
from radbundles.transforms.rand_radiograph_crop import (
    RandRadiographCrop,
    RandRadiographCropD,
    RandRadiographCropd,
    RandRadiographCropDict,
)
from radbundles.transforms.rand_radiograph_view import RandRadiographView
from radbundles.transforms.read_error import RadiographReadError
from radbundles.transforms.rebalance import NEGATION_TEMPLATES, rebalanced_weights
from radbundles.transforms.report_sentences import split_sentences
from radbundles.transforms.report_tokenizer import SPECIAL_TOKENS, build_report_tokenizer, load_report_tokenizer
from radbundles.transforms.resize_radiograph import (
    ResizeRadiograph,
    ResizeRadiographD,
    ResizeRadiographd,
    ResizeRadiographDict,
)
from radbundles.transforms.text_tokenizer import load_text_tokenizer
from radbundles.transforms.tokenize_report import TokenizeReport, TokenizeReportd
from radbundles.transforms.tokenize_sentence import TokenizeSentenced, tokenize_sentences
from radbundles.transforms.warp_radiograph import crops_to_original
