# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Losses, each alone and reusable."""

from __future__ import annotations

if __name__ == "losses":
    raise ImportError("import radbundles.losses, not losses: the folder is part of the package radbundles")

from radbundles.losses.anchor_matcher import EveryBoxMatcher as EveryBoxMatcher
from radbundles.losses.class_weights import class_weights as class_weights
from radbundles.losses.classification import MultiClassLoss as MultiClassLoss
from radbundles.losses.classification import MultiLabelLoss as MultiLabelLoss
from radbundles.losses.classification_loss import classification_loss as classification_loss
from radbundles.losses.classification_objective import ClassificationObjective as ClassificationObjective
from radbundles.losses.context_super_resolution import ContextSuperResolutionLoss as ContextSuperResolutionLoss
from radbundles.losses.dcxfm_dense_objective import DCXFMDenseObjective as DCXFMDenseObjective
from radbundles.losses.dcxfm_objective import DCXFMObjective as DCXFMObjective
from radbundles.losses.dcxfm_objective import official_word_mask as official_word_mask
from radbundles.losses.dense import DenseLoss as DenseLoss
from radbundles.losses.dense_sums import dense_sums as dense_sums
from radbundles.losses.detection_objective import DetectionObjective as DetectionObjective
from radbundles.losses.ecamp_objective import ECAMPObjective as ECAMPObjective
from radbundles.losses.ecamp_segmentation import ECAMPSegmentationLoss as ECAMPSegmentationLoss
from radbundles.losses.masked_image import MaskedImageLoss as MaskedImageLoss
from radbundles.losses.rebalanced_mlm import RebalancedMLMLoss as RebalancedMLMLoss
from radbundles.losses.retinanet import RetinaNetLoss as RetinaNetLoss
from radbundles.losses.segmentation_objective import SegmentationObjective as SegmentationObjective
from radbundles.losses.self_distillation import SelfDistillationLoss as SelfDistillationLoss
from radbundles.losses.soft_contrast import SoftContrastLoss as SoftContrastLoss
from radbundles.losses.word_region import WordRegionLoss as WordRegionLoss
from radbundles.losses.word_region import word_region_attention as word_region_attention
from radbundles.losses.word_region_similarity import word_region_similarity as word_region_similarity
from radbundles.losses.yolo import YOLOv3Loss as YOLOv3Loss
