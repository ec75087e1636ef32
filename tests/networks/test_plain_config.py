# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest

from radbundles.networks import build_encoder
from radbundles.networks.plain_config import plain_config
from radbundles.networks.pretrained_model import build_model

VIT = {"model_type": "vit", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("trust_remote_code", True),
        ("quantization_config", {"quant_method": "mine"}),
        ("attn_implementation", "org/kernel"),
        ("_attn_implementation", "org/kernel"),
        ("backbone", "org/backbone"),
        ("architecture", "hf_hub:org/model"),
        ("use_pretrained_backbone", True),
        ("backbone_kwargs", {"trust_remote_code": True}),
    ],
)
def test_nothing_is_fetched_to_build_what_a_configuration_describes(key: str, value: Any) -> None:
    for build in (build_model, lambda config: build_encoder({"kind": "transformers", "config": config}, image_size=32)):
        with pytest.raises(ValueError, match=f"configuration.{key}"):
            build({**VIT, key: value})


def test_what_is_for_people_stays() -> None:
    config = {**VIT, "_name_or_path": "org/vit", "id2label": {0: "N/A"}, "trust_remote_code": False}
    assert plain_config(config) == config
