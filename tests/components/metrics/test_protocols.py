# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A protocol says all that a number depends on, and refuses what it cannot mean."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from radbundles.components.metrics import PROTOCOLS, GroundingProtocol, grounding_protocol


def test_text_tells_every_choice() -> None:
    text = str(PROTOCOLS["afloc"])
    assert text == (
        "afloc: each map scaled to -1..1 by its own minimum and maximum; IoU and Dice are means over "
        "map > 0.1, 0.2, 0.3, 0.4, 0.5; CNR = (mean inside - mean outside) / sqrt(variance inside + variance outside); "
        "unweighted mean of the class means"
    )
    base = GroundingProtocol(name="x")
    changes: list[dict[str, Any]] = [
        {"scale": "cosine"},
        {"scale": "probability"},
        {"thresholds": (0.5,)},
        {"strict": True},
        {"cnr": "signed"},
        {"average": "sample"},
        {"name": "y"},
    ]
    texts = {str(base), *(str(replace(base, **change)) for change in changes)}
    assert len(texts) == len(changes) + 1 and all("\n" not in text for text in texts)


def test_protocols_are_found_by_their_own_name() -> None:
    assert set(PROTOCOLS) == {"dcxfm", "dcxfm_probability", "half", "biovil", "afloc"}
    for name, protocol in PROTOCOLS.items():
        assert protocol.name == name and grounding_protocol(name) is protocol
    own = GroundingProtocol(name="own")
    assert grounding_protocol(own) is own
    with pytest.raises(ValueError, match="dcxfm, dcxfm_probability, half, biovil, afloc, got 'gloria'"):
        grounding_protocol("gloria")


def test_thresholds_of_a_configuration_may_be_a_list() -> None:
    protocol = GroundingProtocol(name="x", thresholds=[0, 0.5])  # type: ignore[arg-type]
    assert protocol.thresholds == (0.0, 0.5) and hash(protocol) == hash(replace(protocol))


@pytest.mark.parametrize(
    "wrong",
    [
        {"scale": "raw"},
        {"cnr": "square"},
        {"average": "micro"},
        {"thresholds": ()},
        {"thresholds": (0.5, 0.1)},
        {"thresholds": (float("nan"),)},
    ],
)
def test_wrong_choices_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
        GroundingProtocol(name="x", **wrong)
