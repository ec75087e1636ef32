# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Networks and their building blocks."""

from __future__ import annotations

if __name__ == "networks":
    raise ImportError("import radbundles.networks, not networks: the folder is part of the package radbundles")

from radbundles.networks.box_detector import BoxDetector as BoxDetector
from radbundles.networks.build_detector import build_detector as build_detector
from radbundles.networks.build_encoder import build_encoder as build_encoder
from radbundles.networks.class_aggregation import ClassAggregation as ClassAggregation
from radbundles.networks.context_fusion import ContextFusionLayer as ContextFusionLayer
from radbundles.networks.cost_aggregator import CostAggregator as CostAggregator
from radbundles.networks.cost_volume import cost_volume as cost_volume
from radbundles.networks.dcxfm import DCXFM as DCXFM
from radbundles.networks.dcxfm_checkpoint import convert_dcxfm_checkpoint as convert_dcxfm_checkpoint
from radbundles.networks.dcxfm_checkpoint import load_dcxfm as load_dcxfm
from radbundles.networks.dcxfm_checkpoint import load_dcxfm_checkpoint as load_dcxfm_checkpoint
from radbundles.networks.dcxfm_checkpoint import save_dcxfm as save_dcxfm
from radbundles.networks.dcxfm_dense import DCXFMDense as DCXFMDense
from radbundles.networks.dcxfm_dense import ImageFeatures as ImageFeatures
from radbundles.networks.dcxfm_dense_checkpoint import convert_aggregator as convert_aggregator
from radbundles.networks.dcxfm_dense_checkpoint import convert_dcxfm_dense_checkpoint as convert_dcxfm_dense_checkpoint
from radbundles.networks.dcxfm_dense_checkpoint import load_dcxfm_dense as load_dcxfm_dense
from radbundles.networks.dcxfm_dense_checkpoint import load_dcxfm_dense_checkpoint as load_dcxfm_dense_checkpoint
from radbundles.networks.dcxfm_dense_checkpoint import rename_aggregator_key as rename_aggregator_key
from radbundles.networks.dino_head import DINOHead as DINOHead
from radbundles.networks.ecamp import ECAMP as ECAMP
from radbundles.networks.ecamp_checkpoint import convert_ecamp_checkpoint as convert_ecamp_checkpoint
from radbundles.networks.ecamp_checkpoint import load_ecamp as load_ecamp
from radbundles.networks.ecamp_checkpoint import save_ecamp as save_ecamp
from radbundles.networks.ecamp_encoder import ECAMPEncoder as ECAMPEncoder
from radbundles.networks.ecamp_entity_maps import ECAMPEntityMaps as ECAMPEntityMaps
from radbundles.networks.ecamp_features import ECAMPFeatures as ECAMPFeatures
from radbundles.networks.encoder_classifier import EncoderClassifier as EncoderClassifier
from radbundles.networks.encoder_segmenter import EncoderSegmenter as EncoderSegmenter
from radbundles.networks.feature_pyramid import FeaturePyramid as FeaturePyramid
from radbundles.networks.image_tower import ImageTower as ImageTower
from radbundles.networks.mae_decoder import MAEDecoder as MAEDecoder
from radbundles.networks.mae_warm_start import load_mae_warm_start as load_mae_warm_start
from radbundles.networks.masked_vit import MaskedViTEncoder as MaskedViTEncoder
from radbundles.networks.masked_vit import random_patch_mask as random_patch_mask
from radbundles.networks.position_table import resize_position_table as resize_position_table
from radbundles.networks.position_table import sincos_position_table as sincos_position_table
from radbundles.networks.progressive_decoder import ProgressiveDecoder as ProgressiveDecoder
from radbundles.networks.prompt_channels import PromptDraw as PromptDraw
from radbundles.networks.prompt_channels import prompt_channels as prompt_channels
from radbundles.networks.report_encoder import ReportEncoder as ReportEncoder
from radbundles.networks.resnet_encoder import ResNetEncoder as ResNetEncoder
from radbundles.networks.resnet_encoder import load_torchvision_resnet as load_torchvision_resnet
from radbundles.networks.retinanet import EncoderRetinaNet as EncoderRetinaNet
from radbundles.networks.retinanet import build_retinanet as build_retinanet
from radbundles.networks.select_boxes import select_boxes as select_boxes
from radbundles.networks.shared_batch_norm import SharedBatchNorm as SharedBatchNorm
from radbundles.networks.shared_batch_norm import share_batch_norm as share_batch_norm
from radbundles.networks.spatial_aggregation import SpatialAggregation as SpatialAggregation
from radbundles.networks.super_resolution import SuperResolutionHead as SuperResolutionHead
from radbundles.networks.swin_encoder import SwinEncoder as SwinEncoder
from radbundles.networks.text_encoder import build_bert as build_bert
from radbundles.networks.text_encoder import load_text_encoder as load_text_encoder
from radbundles.networks.text_tower import TextTower as TextTower
from radbundles.networks.token_head import TokenHead as TokenHead
from radbundles.networks.transformer_block import TransformerBlock as TransformerBlock
from radbundles.networks.transformers_encoder import TransformersImageEncoder as TransformersImageEncoder
from radbundles.networks.unetr_decoder import UNETRDecoder as UNETRDecoder
from radbundles.networks.upsampling_decoder import UpsamplingDecoder as UpsamplingDecoder
from radbundles.networks.vit_encoder import ViTEncoder as ViTEncoder
from radbundles.networks.yolo_detector import YOLOv3Detector as YOLOv3Detector
