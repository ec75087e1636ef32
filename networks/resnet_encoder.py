# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""ResNet as an encoder of dense features, with the parameter names that published weights have."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import torch
from monai.networks.nets.resnet import ResNet
from torch import nn
from torch.utils.checkpoint import checkpoint

from radbundles.networks.checkpoint_file import read_checkpoint

_BLOCKS: dict[int, tuple[str, tuple[int, ...]]] = {
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
    152: ("bottleneck", (3, 8, 36, 3)),
}


class ResNetEncoder(ResNet):
    """MONAI's ResNet up to its last stage: an image becomes a grid of features, 32 times smaller.

    Source: DCXFM encodes images with an ImageNet ResNet-50 without its classifier. Strides are those of the ImageNet
    networks (MONAI's stem has stride 1 by default), the state dict has the names of torchvision (``conv1``,
    ``layer1.0.downsample.0``, ...), so that :func:`load_torchvision_resnet` reads published weights. 512 x 512 pixels
    give 16 x 16 cells, 224 x 224 give 7 x 7; other sizes are rounded up.

    Weights and features lie with channels last, which is faster on CPUs and on tensor cores; the values are the same.

    Args:
        depth: 18, 34, 50, 101 or 152; settles the kind of block and how many there are.
        in_channels: channels of the image.
        widths: inner channels of the stages, four or fewer; smaller ones for small machines. Each stage left out at
            the end makes the grid twice as fine, and what a cell sees smaller.
        blocks: blocks of the stages, where they should differ from those of ``depth``.
        max_pool: whether the stem pools after its convolution; without, the grid of features is twice as fine (a
            sixteenth of the image), which suits small images.
        weights: file of :func:`load_torchvision_resnet` to start from, for example ImageNet weights.
        recompute_stages: how many of the first stages (the stem counts with the first) keep no activations for the
            backward pass but compute them again, block by block. The stem and stage 1 hold almost half of all
            activations of a ResNet-50 and a fifth of its arithmetic.

    Raises:
        ValueError: for an unknown depth, or sizes that are not four positive numbers.
    """

    out_channels: int
    """Channels of the features: 2048 for the ResNet-50."""
    stage_channels: tuple[int, ...]
    """Channels of the features of each stage: 256, 512, 1024 and 2048 for the ResNet-50."""
    stride: int
    """Pixels of the image that a cell of the features stands for: 32 with four stages and pooling."""

    def __init__(
        self,
        depth: int = 50,
        *,
        in_channels: int = 3,
        widths: Sequence[int] = (64, 128, 256, 512),
        blocks: Sequence[int] | None = None,
        max_pool: bool = True,
        weights: str | Path | None = None,
        recompute_stages: int = 0,
    ) -> None:
        if depth not in _BLOCKS:
            raise ValueError(f"depth must be one of {sorted(_BLOCKS)}, got {depth}")
        kind, usual = _BLOCKS[depth]
        numbers = list(usual[: len(widths)] if blocks is None else blocks)
        if not 1 <= len(widths) == len(numbers) <= 4 or min(*widths, *numbers) < 1:
            raise ValueError(
                f"widths and blocks must be as many positive numbers, up to four: got {list(widths)} and {numbers}"
            )
        if not 0 <= recompute_stages <= 4:
            raise ValueError(f"recompute_stages must be from 0 to 4, got {recompute_stages}")
        super().__init__(
            block=kind,
            layers=[*numbers, *[1] * (4 - len(numbers))],
            block_inplanes=[*widths, *[1] * (4 - len(numbers))],
            spatial_dims=2,
            n_input_channels=in_channels,
            conv1_t_stride=2,
            no_max_pool=not max_pool,
            bias_downsample=False,
            feed_forward=False,
        )
        for number in range(len(numbers) + 1, 5):
            setattr(self, f"layer{number}", nn.Sequential())
        self.stage_channels = tuple(width * (1 if kind == "basic" else 4) for width in widths)
        self.out_channels = self.stage_channels[-1]
        self.stride = (4 if max_pool else 2) * 2 ** (len(numbers) - 1)
        self.recompute_stages = recompute_stages
        if weights is not None:
            load_torchvision_resnet(self, weights)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # absent in torch's stub

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Encode an image [B, in_channels, H, W] into features [B, out_channels, H / 32, W / 32], or finer ones."""
        return deque(self._run(image), maxlen=1)[0]  # keeps no earlier stage

    def stages(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Features of all stages, from finest to coarsest, for the work of :meth:`forward`, which gives the last.

        Each has ``stage_channels`` channels and a grid half as fine as that of the one before; a ResNet starts at a
        quarter of the image.
        """
        return list(self._run(image))

    def _run(self, image: torch.Tensor) -> Iterator[torch.Tensor]:
        x = image.contiguous(memory_format=torch.channels_last)
        recomputed = self.recompute_stages if torch.is_grad_enabled() else 0
        x = self._recompute(self._stem, x) if recomputed else self._stem(x)
        stages = (self.layer1, self.layer2, self.layer3, self.layer4)[: len(self.stage_channels)]
        for number, stage in enumerate(stages, start=1):
            if number > recomputed:
                x = stage(x)
            else:
                for block in stage:  # one by one, so that only one block's activations are there at a time
                    x = self._recompute(block, x)
            yield x

    def _stem(self, image: torch.Tensor) -> torch.Tensor:
        x = self.act(self.bn1(self.conv1(image)))
        return x if self.no_max_pool else self.maxpool(x)

    def _recompute(self, part: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        def contexts() -> tuple[AbstractContextManager, AbstractContextManager]:
            return nullcontext(), _statistics_kept(self)

        return checkpoint(part, x, use_reentrant=False, preserve_rng_state=False, context_fn=contexts)


@contextmanager
def _statistics_kept(network: nn.Module) -> Iterator[None]:
    """Let batch normalization see a batch a second time without counting it twice."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    kept = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    try:
        for norm in norms:
            norm.momentum, norm.num_batches_tracked = 0.0, None
        yield
    finally:
        for norm, (momentum, count) in zip(norms, kept, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count


def load_torchvision_resnet(encoder: nn.Module, path: str | Path) -> list[str]:
    """Load the weights of a ResNet with torchvision's names, for example its ImageNet files, into an encoder.

    Args:
        encoder: a :class:`ResNetEncoder`; changed in place, and only if all fits.
        path: a .safetensors file or a .pth file of tensors.

    Returns:
        Keys of the file that were left out: those of the classifier ``fc``.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a tensor is missing, unknown or of another shape.
    """
    source = read_checkpoint(path)
    left_out = sorted(key for key in source if key.startswith("fc."))
    own = encoder.state_dict()
    # Files from before PyTorch 0.4.1 do not count batches.
    counters = {key: value for key, value in own.items() if key.endswith(".num_batches_tracked")}
    given = counters | {key: value for key, value in source.items() if key not in left_out}
    faults = {
        "missing": sorted(own.keys() - given.keys()),
        "unknown": sorted(given.keys() - own.keys()),
        "of another shape": sorted(key for key in own.keys() & given.keys() if own[key].shape != given[key].shape),
    }
    if any(faults.values()):
        told = "; ".join(f"{len(keys)} {name}: {', '.join(keys)}" for name, keys in faults.items() if keys)
        raise ValueError(f"{Path(path).name} does not fit the encoder: {told}")
    encoder.load_state_dict(given)
    return left_out
