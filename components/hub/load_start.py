# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Where fine-tuning starts: the weights of a bundle, in a network that may answer for other classes."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

logger = logging.getLogger(__name__)


def load_start(
    network: nn.Module,
    bundle: str | os.PathLike[str],
    *,
    classes: Sequence[str] | None = None,
    out: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Load the weights of a bundle into a network that is about to be trained on.

    A network that answers for the classes of the bundle, in their order, gets all of its weights. One for other classes
    gets those of the encoder; what judges its features starts from random weights, and the log says so.

    Args:
        network: changed in place, and only if all fits.
        bundle: folder of a bundle with weights, as a training run makes it (``OUTPUT_DIR/bundle``), ``radbundles pack``
            and ``radbundles download`` too.
        classes: names by output channel of the network; None where it has no classes of its own.
        out: where to write the report as JSON.

    Returns:
        Report: ``bundle``, its ``version``, ``classes_of_bundle``, and ``loaded``: ``"all"`` or ``"encoder"``.

    Raises:
        FileNotFoundError: if the folder holds no bundle, or the bundle no weights.
        ValueError: if the weights are those of another network.
    """
    from radbundles.components.hub.bundles import read_bundle
    from radbundles.components.hub.load_encoder import load_encoder
    from radbundles.components.hub.load_weights import load_weights

    found = read_bundle(Path(bundle).resolve(), str(bundle))
    if found.fault:
        raise FileNotFoundError(f"no bundle to start from in {bundle}: {found.fault}")
    if found.weights is None:
        raise FileNotFoundError(
            f"bundle {found.name} has no weights to start from: download or pack one that has, or leave out "
            "finetune.json"
        )
    known: list[str] | None = None
    if classes is not None:
        known = list(found.metadata["network_data_format"]["outputs"]["pred"].get("channel_def", {}).values())
    whole = known is None or known == list(classes or ())
    if whole:
        load_weights(network, found.weights)
    else:
        encoder: Any = network.get_submodule("encoder")
        load_encoder(encoder, found.weights)
        logger.info(
            "Encoder of %s %s; it answers for other classes than yours, so the rest starts from random weights",
            found.name,
            found.version,
        )
    report = {
        "bundle": found.name,
        "version": found.version,
        "classes_of_bundle": known,
        "loaded": "all" if whole else "encoder",
    }
    if out is not None:
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        Path(out).write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return report
