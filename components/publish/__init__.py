# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Publishes versions of bundles on the Hugging Face Hub, whole or not at all; imports neither torch nor MONAI."""

from __future__ import annotations

from radbundles.components.publish.hub_versions import HubVersions, PublishError
from radbundles.components.publish.publish import publish_bundle
from radbundles.components.publish.published import Published, PublishedFile
from radbundles.components.publish.stage import stage_bundle
from radbundles.components.publish.twin_weights import write_twin

__all__ = [
    "HubVersions",
    "PublishError",
    "Published",
    "PublishedFile",
    "publish_bundle",
    "stage_bundle",
    "write_twin",
]
