# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Image encoders filled from a file, with a report that names every key of it."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import nn

logger = logging.getLogger(__name__)


def load_encoder(
    encoder: nn.Module,
    path: str | os.PathLike[str] | None,
    *,
    image: Literal["student", "teacher"] = "student",
    out: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Fill an encoder of :func:`~radbundles.networks.build_encoder`, all of it, from a file of any of these kinds.

    - Runs of ours (``model.pt``, the folder of a run, a checkpoint to resume from, a packed or converted bundle):
      ``ecamp_pretrain``, ``dcxfm_pretrain``, ``dcxfm_dense`` and what was fine-tuned from them.
    - Official checkpoints of ECAMP and of DCXFM.
    - Vision transformers with the names of timm, such as those of MAE, DINO and DINOv2.
    - Folders of transformers, ``config.json`` and weights: ViT, ViTMAE, DeiT and DINOv2 for a
      :class:`~radbundles.networks.ViTEncoder` (queries, keys and values are stacked, layer scales multiplied into the
      weights, which changes nothing in what is computed), and any model type for a
      :class:`~radbundles.networks.TransformersImageEncoder` of the same configuration.
    - ResNets with torchvision's names for a :class:`~radbundles.networks.ResNetEncoder`; of a file with more stages
      the first are taken.

    Position tables are interpolated to the encoder's grid. Numbers of attention heads leave no trace in tensors: they
    are compared where a folder tells them, otherwise ``notes`` says that they could not be.

    Args:
        encoder: changed in place, and only if all fits.
        path: file or folder; None starts from scratch and leaves the encoder as it is.
        image: "teacher" for the moving average of a network where there is one, as in the checkpoints of
            ``dcxfm_pretrain`` and in those of DINO.
        out: where to write the report as JSON.

    Returns:
        Report: ``file`` (name, sha256, bytes), ``format``, ``loaded`` (keys of the file), ``resized`` (some of these,
        with ``key``, ``from`` and ``to``), ``left_out`` (``key`` and ``reason``), ``untouched`` (keys of the encoder
        that keep their values: all of them from scratch, otherwise counters of batches at most) and ``notes``. Each
        key of the file is either loaded or left out; what lies beside the state dict in a checkpoint is one key each.

    Raises:
        FileNotFoundError: if there is no such file, or none in the folder.
        ValueError: if the file holds no encoder of this kind or several, its sizes are others, a tensor is missing, or
            one changes the features and has no place in the encoder.
        TypeError: if the encoder is none of build_encoder's.
    """
    from radbundles.components.hub.fill_encoder import fill_resnet, fill_transformers, fill_vit
    from radbundles.networks import ResNetEncoder, TransformersImageEncoder, ViTEncoder

    if image not in ("student", "teacher"):
        raise ValueError(f'image must be "student" or "teacher", got {image!r}')
    report: dict[str, Any]
    if path is None:
        untouched = list(encoder.state_dict())
        report = {"file": None, "format": "scratch", "loaded": [], "resized": [], "left_out": []}
        report |= {"untouched": untouched, "notes": []}
    elif isinstance(encoder, ViTEncoder):
        report = fill_vit(encoder, Path(path), image)
    elif isinstance(encoder, ResNetEncoder):
        report = fill_resnet(encoder, Path(path), image)
    elif isinstance(encoder, TransformersImageEncoder):
        report = fill_transformers(encoder, Path(path), image)
    else:
        raise TypeError(f"an encoder of build_encoder is needed, got a {type(encoder).__name__}")
    told = f"{len(report['loaded'])} tensors loaded, {len(report['left_out'])} left out"
    logger.info("Encoder: %s, %s", report["format"], "; ".join([told, *report["notes"]]))
    if out is not None:
        _write(Path(out), report)
    return report


def _write(path: Path, report: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)
