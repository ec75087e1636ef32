# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A trained network of a bundle with what belongs to it, outside of any workflow."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radbundles.components.hub.workflow import root_cause

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True, eq=False)
class LoadedBundle:
    """What :func:`radbundles.load` gives.

    Args:
        network: the network of ``inference.json`` in eval mode, on the device.
        preprocessing: from ``{"image": path}`` to a sample whose ``image`` [C, H, W] the network takes.
        inferer: how the network is asked, a MONAI inferer. That of a bundle that is asked in words holds the texts and
            their ``zero_shot``, which takes any others: ``bundle.inferer.zero_shot.ground(path, ["effusion"])``.
        class_names: what the answers are about, by channel.
        metadata: the content of ``metadata.json``: intended use, versions, operating points.
        folder: the bundle on this machine.
        device: where the network is.
        commit: of the Hub, or None for a bundle of this machine.
    """

    network: nn.Module = field(repr=False)
    preprocessing: Callable[[dict[str, Any]], Any] = field(repr=False)
    inferer: Callable[..., Any] = field(repr=False)
    class_names: tuple[str, ...]
    metadata: Mapping[str, Any] = field(repr=False)
    folder: Path
    device: torch.device
    commit: str | None = None

    @property
    def version(self) -> str:
        """Version of the bundle."""
        return str(self.metadata["version"])

    @cached_property
    def encoder(self) -> nn.Module:
        """The image encoder as a module of its own, in eval mode; it shares the parameters of the network.

        For every bundle of this package it maps what :attr:`preprocessing` gives, [B, C, H, W], to features
        [B, out_channels, h, w], and has the attributes ``out_channels`` and ``stride``.

        Raises:
            ValueError: if the network has no image encoder.
        """
        from torch import nn

        from radbundles.networks import ECAMP, ECAMPEncoder

        if isinstance(self.network, ECAMP):
            return ECAMPEncoder(self.network).eval()
        tower = getattr(self.network, "image", self.network)  # networks of images and texts have a tower for each
        encoder = getattr(tower, "encoder", None)
        if not isinstance(encoder, nn.Module):
            raise ValueError(
                f"the {type(self.network).__name__} of {self.folder.name} has no image encoder `encoder` or "
                "`image.encoder`: use `network`"
            )
        return encoder

    def prepare(self, image: str | os.PathLike[str]) -> torch.Tensor:
        """Read an image file as the network takes it, [C, H, W], on the device.

        Raises:
            ValueError: if it cannot be read, or is refused: blank, lateral or too small.
        """
        import torch

        path = Path(image)
        try:
            sample = self.preprocessing({"id": path.name, "image": str(path)})
        except Exception as error:  # MONAI wraps what a transform raises
            reason = str(root_cause(error))
            raise ValueError(reason if path.name in reason else f"{path.name}: {reason}") from error
        return torch.as_tensor(sample["image"]).as_subclass(torch.Tensor).to(self.device)

    def __call__(
        self, images: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], *, batch_size: int = 8
    ) -> Any:
        """Answer about image files: what the inferer gives, for all of them in their order.

        Answers are those of the network, before any threshold: logits [B, K] of a classifier, [B, K, S, S] of masks,
        boxes of every anchor [B, A, 4 + K] of a detector (``network.detect`` selects), attention maps of entities, or
        the dict ``maps``, ``similarity`` of a bundle that is asked in words. For calibrated answers in the pixels of
        the files, as tables and pictures, use ``radbundles predict``.

        Args:
            images: path or paths of DICOM, PNG, JPEG or NIfTI files.
            batch_size: images at a time.

        Raises:
            ValueError: if there is no image, or one cannot be read; names it.
        """
        import torch
        from monai.networks.utils import eval_mode

        paths = [images] if isinstance(images, (str, os.PathLike)) else list(images)
        if not paths or batch_size < 1:
            raise ValueError(f"at least one image and a batch_size of 1 are needed, got {len(paths)} and {batch_size}")
        answers = []
        for start in range(0, len(paths), batch_size):
            batch = torch.stack([self.prepare(path) for path in paths[start : start + batch_size]])
            with eval_mode(self.network):  # without gradients
                answers.append(self.inferer(batch, self.network))
        return _joined(answers)


def _joined(answers: Sequence[Any]) -> Any:
    """Answers about batches as one about all images."""
    import torch

    first = answers[0]
    if len(answers) == 1:
        return first
    if isinstance(first, torch.Tensor):
        return torch.cat(list(answers))
    if isinstance(first, Mapping):
        return {key: _joined([answer[key] for answer in answers]) for key in first}
    if isinstance(first, (list, tuple)):
        return type(first)(_joined(list(parts)) for parts in zip(*answers, strict=True))
    raise TypeError(f"answers of the type {type(first).__name__} cannot be joined: raise batch_size to all images")
