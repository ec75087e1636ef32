# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The YAML block that a model hub reads at the head of a card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from radbundles.components.cards.read_bundle import BundleFiles

_PIPELINES = {
    "classes": "image-classification",
    "segmentation": "image-segmentation",
    "boxes": "object-detection",
}
_CODE = {"Apache-2.0": "apache-2.0", "MIT": "mit"}


def front_matter(folder: Path) -> str:
    """Write the front matter for the card of a bundle on a model hub.

    It goes before :func:`card_text` into the ``README.md`` of a published bundle, once, and never into
    ``docs/README.md``, where MONAI's ``push_to_hf_hub`` would set a second block before it.

    Args:
        folder: root of the bundle.

    Returns:
        the block, with its fences and an empty line behind.

    Raises:
        OSError, ValueError: ``configs/metadata.json`` or ``LICENSE`` is missing or faulty.
    """
    import yaml

    files = BundleFiles.read(folder)
    metadata = files.metadata
    content = {
        **_license(files),
        "library_name": "monai",
        "pipeline_tag": _pipeline(metadata),
        "tags": ["monai", "radbundles", "medical", *metadata.get("tags", ())],
    }
    # "AUROC (test section)" is the metric AUROC
    metrics = list(dict.fromkeys(name.partition(" (")[0] for name in metadata.get("eval_metrics") or {}))
    if metrics:
        content["metrics"] = metrics
    block = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
    return f"---\n{block}---\n\n"


def _license(files: BundleFiles) -> dict[str, str]:
    """License of the whole: that of the code, unless data behind the weights has terms of its own."""
    code = _CODE.get(files.license, "other")
    behind = [one for role in ("trained_on", "starts_from") for one in files.data_sets.get(role, ())]
    if files.has_weights and any(one.hub_license != code for one in behind):
        return {"license": "other", "license_name": "see-data-license", "license_link": "docs/data_license.txt"}
    return {"license": code}


def _pipeline(metadata: Mapping[str, Any]) -> str:
    form: Any = metadata
    for key in ("network_data_format", "outputs", "pred", "format"):
        form = form.get(key) if isinstance(form, Mapping) else None
    return _PIPELINES.get(str(form), "image-feature-extraction")
