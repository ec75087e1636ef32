# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Finds bundles and tells what works on this machine; imports neither torch nor MONAI."""

from __future__ import annotations

from radbundles.components.hub.bundle_check import BundleReport, check_bundle
from radbundles.components.hub.bundle_values import asks_in_words, bundle_values
from radbundles.components.hub.bundles import Bundle, find_bundle, find_bundles
from radbundles.components.hub.class_names import check_class_names
from radbundles.components.hub.codecs import Codec, list_codecs
from radbundles.components.hub.doctor import Diagnosis, diagnose
from radbundles.components.hub.download import Downloaded, download_bundle, fetch_bundle
from radbundles.components.hub.load import load_bundle
from radbundles.components.hub.load_encoder import load_encoder
from radbundles.components.hub.load_stage1 import load_stage1
from radbundles.components.hub.load_start import load_start
from radbundles.components.hub.load_weights import load_weights
from radbundles.components.hub.loaded_bundle import LoadedBundle
from radbundles.components.hub.manifest import MANIFEST, check_manifest, write_manifest
from radbundles.components.hub.pack_run import pack_run
from radbundles.components.hub.record_evaluation import record_evaluation
from radbundles.components.hub.sound import AuditError, ManifestError, UnsoundError
from radbundles.components.hub.weights import WeightsReport, check_weights
from radbundles.components.hub.workflow import bundle_workflow, literal

__all__ = [
    "MANIFEST",
    "AuditError",
    "Bundle",
    "BundleReport",
    "Codec",
    "Diagnosis",
    "Downloaded",
    "LoadedBundle",
    "ManifestError",
    "UnsoundError",
    "WeightsReport",
    "asks_in_words",
    "bundle_values",
    "bundle_workflow",
    "check_bundle",
    "check_class_names",
    "check_manifest",
    "check_weights",
    "diagnose",
    "download_bundle",
    "fetch_bundle",
    "find_bundle",
    "find_bundles",
    "list_codecs",
    "literal",
    "load_bundle",
    "load_encoder",
    "load_stage1",
    "load_start",
    "load_weights",
    "pack_run",
    "record_evaluation",
    "write_manifest",
]
