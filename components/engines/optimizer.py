# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Parameter groups for AdamW."""

from __future__ import annotations

from typing import Any

from torch import nn

from radbundles.networks import DCXFMDense

_NORMS = (
    nn.modules.batchnorm._NormBase,  # batch and instance normalization of any dimension
    nn.GroupNorm,
    nn.LayerNorm,
    nn.RMSNorm,
)


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


def parameter_groups(
    network: DCXFMDense, *, learning_rate: float, encoder_multiplier: float = 0.01, weight_decay: float = 1e-4
) -> list[dict[str, Any]]:
    """Groups of DCXFM's second stage: the towers learn more slowly than the aggregator.

    Source: official stage-2 code: AdamW, rate 2e-5, a hundredth of it for what stage 1 has trained, no weight decay
    of normalizations and embeddings. Deviations: at most six groups, not one for each parameter; parameters without
    gradient are left out, so that a fused optimizer goes over few tensors (quirk Q35).

    Args:
        network: parameters with ``requires_grad`` False are left out, such as those of a frozen text tower.
        learning_rate: of the aggregator.
        encoder_multiplier: of the towers' rate; 0.01 moves them next to nothing in a few hundred steps (quirk Q36).
        weight_decay: of all but normalizations and embeddings.

    Returns:
        Groups for a torch optimizer, each with ``lr`` and ``weight_decay``.

    Raises:
        ValueError: if a value is negative.
    """
    values = {"learning_rate": learning_rate, "encoder_multiplier": encoder_multiplier, "weight_decay": weight_decay}
    if negative := [f"{name}={value}" for name, value in values.items() if value < 0]:
        raise ValueError(f"rates and decay must not be negative, got {', '.join(negative)}")
    slow = learning_rate * encoder_multiplier
    groups = []
    for part, rate in ((network.image, slow), (network.text, slow), (network.aggregator, learning_rate)):
        plain = {
            parameter
            for module in part.modules()
            if isinstance(module, (*_NORMS, nn.Embedding))
            for parameter in module.parameters(recurse=False)
        }
        trained = [parameter for parameter in part.parameters() if parameter.requires_grad]
        for decay, chosen in (
            (weight_decay, [parameter for parameter in trained if parameter not in plain]),
            (0.0, [parameter for parameter in trained if parameter in plain]),
        ):
            if chosen:
                groups.append({"params": chosen, "lr": rate, "weight_decay": decay})
    return groups
