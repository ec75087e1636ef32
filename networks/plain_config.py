# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Configurations of transformers that describe a network and nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# With these the library fetches code, or reads other models than the one that is described.
_FETCHING = frozenset({"custom_pipelines", "quantization_config", "trust_remote_code", "use_pretrained_backbone"})
# For people.
_NAMES = frozenset({"_name_or_path", "id2label", "label2id", "name_or_path"})


def plain_config(config: Mapping[str, Any], where: str = "configuration") -> dict[str, Any]:
    """Return a configuration as a dict, once it is sure that nothing is fetched to build it.

    Args:
        config: arguments of a configuration of transformers, ``model_type`` among them.
        where: what errors call it.

    Raises:
        ValueError: if a key makes the library fetch something, or a value names a repository, a path or an address.
    """
    for key, value in config.items():
        place = f"{where}.{key}"
        if key in _FETCHING and value not in (None, False):
            raise ValueError(f"{place} makes transformers fetch code or weights: leave it out, got {value!r}")
        if key in _NAMES or key == "auto_map":  # code of others is not run, whatever a configuration names
            continue
        if isinstance(value, Mapping):
            plain_config(value, place)
        elif isinstance(value, str) and re.search(r"[/\\:]", value):
            raise ValueError(f"{place} is {value!r}, which could be a repository or a path: only words are taken")
    return dict(config)
