# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Parameter groups for AdamW."""

from __future__ import annotations

from typing import Any

from torch import nn


def weight_decay_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Split the trainable parameters into one group with weight decay and one without.

    Biases and all one-dimensional tensors (normalization scales) are not decayed; tokens and embeddings are
    (ECAMP, section 5 of the official recipe).

    Args:
        network: any module; parameters with ``requires_grad`` False are left out.
        weight_decay: decay of the first group.

    Returns:
        Groups for a torch optimizer.
    """
    trainable = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
    plain = [p for name, p in trainable if p.ndim <= 1 or name.endswith(".bias")]
    decayed = [p for name, p in trainable if not (p.ndim <= 1 or name.endswith(".bias"))]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]
