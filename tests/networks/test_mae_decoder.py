# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import torch

from radbundles.networks import MAEDecoder, random_patch_mask


def test_decoded_patches_lie_where_they_were_cut() -> None:
    """With identity layers a visible patch must come back at its place and hidden ones show the mask token."""
    patch, grid = 2, (3, 3)
    width = 3 * patch**2
    decoder = MAEDecoder(grid=grid, patch_size=patch, encoder_dim=width, dim=width, depth=0, heads=1)
    decoder.norm = torch.nn.Identity()  # type: ignore[assignment]
    with torch.no_grad():
        decoder.pos_embed.zero_()
        decoder.mask_token.fill_(-1.0)
        for layer in (decoder.embed, decoder.pred):
            layer.weight.copy_(torch.eye(width))
    image = torch.arange(3.0 * 6 * 6).reshape(1, 3, 6, 6)
    cut = [
        image[0, :, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2].permute(1, 2, 0).flatten() for y in range(3) for x in range(3)
    ]
    patches = torch.stack(cut)[None]  # [1, 9, (row, column, channel)]
    keep, restore, mask = random_patch_mask(torch.rand(1, 9), 0.5)
    latent = torch.cat([torch.full((1, 1, width), 1e3), patches[:, keep[0]]], dim=1)
    decoded = decoder(latent, restore)
    hidden = mask.reshape(1, 1, 3, 3).repeat_interleave(2, 2).repeat_interleave(2, 3).bool().expand_as(image)
    assert torch.equal(decoded, torch.where(hidden, -1.0, image))


def test_drawing_is_blind_to_the_order_of_visible_patches() -> None:
    torch.manual_seed(0)
    decoder = MAEDecoder(grid=(4, 4), patch_size=4, encoder_dim=12, dim=16, depth=2, heads=2)
    latent = torch.randn(1, 5, 12)
    restore = torch.randperm(16)[None]
    order = torch.tensor([2, 0, 3, 1])
    shuffled = torch.cat([latent[:, :1], latent[:, 1:][:, order]], dim=1)
    moved = torch.cat([order.argsort(), torch.arange(4, 16)])[restore]
    torch.testing.assert_close(decoder(shuffled, moved), decoder(latent, restore))
