# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Weight initialization of transformers trained from scratch."""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def init_transformer_weights(module: nn.Module) -> None:
    """Initialize every linear layer and layer norm below a module, in place.

    Linear layers become Xavier-uniform with zero bias and layer norms the identity, as in MAE and, because its
    model-wide initializer runs after BERT's own, in the whole text part of ECAMP (quirk Q21). Convolutions,
    embeddings and free parameters are left to their owner.

    Args:
        module: any module.
    """
    for child in module.modules():
        if isinstance(child, nn.Linear):
            nn.init.xavier_uniform_(child.weight)
            if child.bias is not None:
                nn.init.zeros_(child.bias)
        elif isinstance(child, nn.LayerNorm) and child.elementwise_affine:
            nn.init.ones_(child.weight)
            nn.init.zeros_(child.bias)
