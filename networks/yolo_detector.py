# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The detector of the official ECAMP code: a YOLOv3 neck and head on a plain ViT."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import nn

from radbundles.networks.box_detector import MAX_GROWTH, BoxDetector

ANCHORS = (((116, 90), (156, 198), (373, 326)), ((30, 61), (62, 45), (59, 119)), ((10, 13), (16, 30), (33, 23)))
"""Widths and heights in images of 416 pixels, from the coarsest grid to the finest."""
ANCHOR_IMAGE = 416


class YOLOv3Detector(BoxDetector):
    """Three grids made of the last map of an encoder, and the neck and heads of YOLOv3 on them.

    Source: ECAMP, official detection code (after MGCA); Redmon and Farhadi, YOLOv3. A linear layer on the cells, then
    grids of twice, once and half the encoder's stride, each with a residual bottleneck, then the neck from coarse to
    fine; three anchors for every cell of a grid. With a frozen ViT-B/16 and one class 27.13 M weights are trained
    (expansion 8: the official runs on 1 % and 10 % of the labels) or 30.83 M (expansion 4: on 100 %).
    Train it with :class:`radbundles.losses.YOLOv3Loss`.

    ========================  =================================================
    keys here                 part of the official network
    ========================  =================================================
    ``encoder.*``             the ViT
    ``cells.*``               ``det_head``
    ``coarse.down``           ``downsample``, then a bottleneck ``coarse.bottleneck``
    ``middle.project``        ``traspose``, then a bottleneck ``middle.bottleneck``
    ``fine.project``          ``transpose1``, then a bottleneck ``fine.bottleneck``
    ``necks.0..2.blocks.*``   ``embedding0..2``, their six blocks
    ``necks.0..2.out``        ``embedding0..2``, their last convolution
    ``laterals.0..1``         the blocks in front of the two enlargements
    ========================  =================================================

    Args:
        encoder: image [B, 3, S, S] -> [B, C, h, w], with the attributes ``out_channels`` (C) and ``stride``.
        num_classes: K.
        image_size: S in pixels, an even multiple of the encoder's stride.
        expansion: by how much the bottlenecks are narrower than the grids they work on.
        anchors: widths and heights in pixels of the image, three for each grid, coarsest grid first; by default the
            official ones, scaled from 416 pixels to image_size.
        widths: channels of the grids, finest first, multiples of 4 * expansion; the neck is a quarter and a half as
            wide. Smaller ones are for small machines.
        trained: "head" as in the official code: the encoder is frozen, and stays in eval mode; or "all".

    Raises:
        ValueError: if sizes do not fit each other.
    """

    anchors: torch.Tensor
    """Widths and heights [3, 3, 2] in pixels, coarsest grid first."""

    def __init__(
        self,
        encoder: nn.Module,
        num_classes: int,
        *,
        image_size: int,
        expansion: int = 8,
        anchors: Sequence[Sequence[Sequence[float]]] | None = None,
        widths: Sequence[int] = (512, 1024, 2048),
        trained: Literal["all", "head"] = "head",
    ) -> None:
        super().__init__(encoder, num_classes=num_classes, image_size=image_size, trained=trained)
        if image_size % (2 * self.stride) or self.stride % 2:
            raise ValueError(
                f"the encoder's stride must be even and image_size twice a multiple of it, got {self.stride} and "
                f"{image_size}"
            )
        if len(widths) != 3 or expansion < 1 or any(width < 4 or width % (4 * expansion) for width in widths):
            raise ValueError(f"widths must be three multiples of 4 * {expansion} (expansion), got {list(widths)}")
        sizes = torch.tensor(ANCHORS if anchors is None else anchors, dtype=torch.float32, device="cpu")
        if anchors is None:
            sizes = sizes * (image_size / ANCHOR_IMAGE)
        if sizes.shape != (3, 3, 2) or not (sizes > 0).all():
            raise ValueError(f"anchors must be three positive widths and heights for each of three grids: {anchors}")
        self.register_buffer("anchors", sizes, persistent=False)
        self.strides = (2 * self.stride, self.stride, self.stride // 2)

        fine, middle, coarse = widths
        outputs = 3 * (5 + num_classes)
        self.cells = nn.Linear(self.channels, self.channels)
        self.coarse = nn.Sequential()
        self.coarse.add_module("down", nn.Conv2d(self.channels, coarse, 1, stride=2, bias=False))
        self.middle = nn.Sequential()
        self.middle.add_module("project", nn.Conv2d(self.channels, middle, 1))
        self.fine = nn.Sequential()
        self.fine.add_module("project", nn.Conv2d(self.channels, fine, 1))
        self.fine.add_module("enlarge", nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True))
        for grid, width in ((self.coarse, coarse), (self.middle, middle), (self.fine, fine)):
            grid.add_module("bottleneck", _Bottleneck(width, expansion))
        self.laterals = nn.ModuleList([_block(coarse // 4, middle // 4, 1), _block(middle // 4, fine // 4, 1)])
        self.necks = nn.ModuleList(
            [
                _Neck(coarse, coarse // 4, outputs),
                _Neck(middle // 4 + middle, middle // 4, outputs),
                _Neck(fine // 4 + fine, fine // 4, outputs),
            ]
        )

    def heads(self, image: torch.Tensor) -> dict[str, Any]:
        """What the loss reads.

        Args:
            image: [B, 3, S, S].

        Returns:
            ``grids``: three tensors [B, 3, g, g, 5 + K] float32, coarsest first: x, y (logits of the place in the
            cell), w, h (logarithms of the growth of the anchor), logit of there being a box, logits of the classes;
            ``anchors`` [3, 3, 2] in pixels and ``strides`` of the grids.
        """
        x = self.cells(self.features(image).movedim(1, -1)).movedim(-1, 1)
        branch, out = self.necks[0](self.coarse(x))
        outputs = [out]
        for neck, lateral, grid in zip(self.necks[1:], self.laterals, (self.middle, self.fine), strict=True):
            enlarged = F.interpolate(lateral(branch), scale_factor=2, mode="nearest")
            branch, out = neck(torch.cat([enlarged, grid(x)], dim=1))
            outputs.append(out)
        grids = [out.unflatten(1, (3, -1)).movedim(2, -1).float() for out in outputs]
        return {"grids": grids, "anchors": self.anchors, "strides": self.strides}

    def decode(self, heads: dict[str, Any]) -> torch.Tensor:
        """Boxes and scores [B, A, 4 + K] of what :meth:`heads` gives.

        As in the official code the score of a box is the probability that there is one, given to its likeliest class.
        Of our own is that a box grows no more than MONAI's can, where the official exponential could overflow.
        """
        rows = []
        for grid, anchors, stride in zip(heads["grids"], heads["anchors"], heads["strides"], strict=True):
            steps = torch.arange(grid.shape[2], device=grid.device, dtype=grid.dtype)
            corner = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1)  # [g, g, 2] column, row
            center = (grid[..., :2].sigmoid() + corner) * stride
            half = grid[..., 2:4].clamp(max=MAX_GROWTH).exp() * anchors[:, None, None] / 2
            likeliest = F.one_hot(grid[..., 5:].argmax(dim=-1), self.num_classes)
            scores = grid[..., 4:5].sigmoid() * likeliest
            rows.append(torch.cat([center - half, center + half, scores], dim=-1).flatten(1, 3))
        return torch.cat(rows, dim=1)


class _Bottleneck(nn.Module):
    """Residual block whose 3 x 3 convolution works on fewer channels."""

    def __init__(self, channels: int, expansion: int) -> None:
        super().__init__()
        inner = channels // expansion
        self.conv1, self.bn1 = nn.Conv2d(channels, inner, 1, bias=False), nn.BatchNorm2d(inner)
        self.conv2, self.bn2 = nn.Conv2d(inner, inner, 3, padding=1, bias=False), nn.BatchNorm2d(inner)
        self.conv3, self.bn3 = nn.Conv2d(inner, channels, 1, bias=False), nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(x + self.bn3(self.conv3(y)))


class _Neck(nn.Module):
    """Six blocks, narrow and wide in turn; the fifth leads on to the next grid, the sixth to the outputs."""

    def __init__(self, in_channels: int, narrow: int, outputs: int) -> None:
        super().__init__()
        sizes = [in_channels, narrow, 2 * narrow, narrow, 2 * narrow, narrow, 2 * narrow]
        self.blocks = nn.Sequential(*(_block(sizes[i], sizes[i + 1], 3 if i % 2 else 1) for i in range(6)))
        self.out = nn.Conv2d(2 * narrow, outputs, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        branch = self.blocks[:5](x)
        return branch, self.out(self.blocks[5](branch))


def _block(in_channels: int, out_channels: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.LeakyReLU(0.1),
    )
