# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""From a bundle to its trained network, ready to be asked."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from radbundles.components.hub.bundle_values import asks_in_words, bundle_values
from radbundles.components.hub.bundles import find_bundle
from radbundles.components.hub.load_weights import load_weights
from radbundles.components.hub.sound import is_shipped, require_sound
from radbundles.components.hub.workflow import bundle_workflow
from radbundles.components.zero_shot.zero_shot import ZeroShot


def load_zero_shot(
    bundle: str | os.PathLike[str] = "dcxfm_pretrain",
    *,
    configs: Sequence[str] = (),
    weights: str | os.PathLike[str] | None = None,
    tokenizer: str | os.PathLike[str] | None = None,
    device: str | None = None,
    allow: Sequence[str] = (),
    **settings: Any,
) -> ZeroShot:
    """Load a bundle's network with its weights, as its ``inference.json`` says.

    Args:
        bundle: name or folder of a bundle, for example one that ``radbundles pack`` made.
        configs: overlays that the weights were trained with, such as ``["tiny"]``.
        weights: in place of the bundle's own.
        tokenizer: in place of the bundle's own.
        device: such as ``"cpu"`` or ``"cuda:0"``; by default a GPU where there is one.
        allow: exact names that the audit of a bundle that did not come with this package shall let pass.
        **settings: values of ``inference.json``, such as ``prompts`` or ``min_similarity``.

    Raises:
        LookupError: if there is no such bundle.
        AuditError: if the audit refuses it.
        FileNotFoundError: if weights, tokenizer or a config are missing.
        ValueError: if the weights do not fit, or the bundle is not asked in words.
    """
    found = find_bundle(os.fspath(bundle))
    if not asks_in_words(found):
        raise ValueError(f"bundle {found.name} answers for the classes it was trained on and is not asked in words")
    if not is_shipped(found.folder):
        require_sound(found.folder, name=found.name, allow=allow)
    values = bundle_values(found, weights=weights, tokenizer=tokenizer, device=device) | settings
    workflow = bundle_workflow(found.folder, ("inference", *configs), **values)
    get = workflow.parser.get_parsed_content
    load_weights(get("network"), values["weights"])
    zero_shot: ZeroShot = get("zero_shot")
    return zero_shot
