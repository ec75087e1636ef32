# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Models of the library transformers: built from a configuration, or read from a folder or a pinned commit."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_MAPPING

from radbundles.networks.plain_config import plain_config


def build_model(config: Mapping[str, Any]) -> PreTrainedModel:
    """Build an untrained model without a pooler.

    Args:
        config: ``model_type`` ("vit", "dinov2", "bert", ...) and the arguments of its configuration.

    Raises:
        ValueError: if the model type is missing or unknown, or something would be fetched.
    """
    if "model_type" not in config:
        raise ValueError(f"the configuration needs a model_type, got only {sorted(config)}")
    settings = AutoConfig.for_model(**plain_config(config))
    return AutoModel.from_config(settings, trust_remote_code=False, **_without_pooler(settings))


def load_pretrained_model(
    source: str | Path, *, revision: str | None = None, changes: Mapping[str, Any] | None = None
) -> PreTrainedModel:
    """Read a trained model as :func:`read_pretrained_model` does, without the report of what was left out."""
    return read_pretrained_model(source, revision=revision, changes=changes)[0]


def read_pretrained_model(
    source: str | Path, *, revision: str | None = None, changes: Mapping[str, Any] | None = None
) -> tuple[PreTrainedModel, set[str]]:
    """Read a trained model without its pooler; code that comes with it is never run.

    Args:
        source: folder with ``config.json`` and weights, or the name of a repository on the Hugging Face Hub.
        revision: commit of that repository, 40 hexadecimal digits.
        changes: values that replace those of the configuration.

    Returns:
        The model, and the keys of the weights that it has no use for.

    Raises:
        ValueError: if a repository is named without a commit, or a tensor of the model is missing in the weights.
    """
    where = _place(source, revision)
    settings = AutoConfig.from_pretrained(**where, trust_remote_code=False, **(changes or {}))
    model, found = AutoModel.from_pretrained(
        **where,
        config=settings,
        trust_remote_code=False,
        output_loading_info=True,
        **_without_pooler(settings),
    )
    # The library would fill what is missing with noise and only warn.
    if missing := sorted(found["missing_keys"]):
        raise ValueError(f"the weights of {source} lack {len(missing)} tensors of the model, first {missing[:3]}")
    return model, set(found["unexpected_keys"])


def _place(source: str | Path, revision: str | None) -> dict[str, Any]:
    if Path(source).is_dir():
        if revision is not None:
            raise ValueError(f"{source} is a folder and has no revision, got {revision!r}")
        return {"pretrained_model_name_or_path": str(source), "local_files_only": True}
    if isinstance(source, Path) or source.startswith((".", "/", "~")) or source.count("/") > 1:
        raise ValueError(f"no folder at {source}")
    if revision is None or not re.fullmatch("[0-9a-f]{40}", revision):
        raise ValueError(
            f"{source} is no folder on this machine, hence a repository of the Hugging Face Hub, and its revision must "
            f"be a commit of 40 hexadecimal digits, got {revision!r}: branches and tags move, so that the same "
            "configuration would one day load other weights"
        )
    return {"pretrained_model_name_or_path": source, "revision": revision}


def _without_pooler(settings: PretrainedConfig) -> dict[str, Any]:
    """Poolers are of no use here, and masked language models have no weights for them."""
    model: Any = MODEL_MAPPING[type(settings)]
    arguments = inspect.signature(model).parameters
    return {"add_pooling_layer": False} if "add_pooling_layer" in arguments else {}
