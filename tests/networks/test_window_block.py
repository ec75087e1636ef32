# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Window attention against MONAI's Swin block where that can do the same, and against masks written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.networks.nets.swin_unetr import SwinTransformerBlock, compute_mask

from radbundles.networks.window_block import WindowAttention, WindowBlock


def monai_twin(block: WindowBlock) -> SwinTransformerBlock:
    """MONAI's block with the same weights and a table of relative positions that is zero."""
    attention = block.attn
    dim, window, shift = attention.proj.in_features, attention.window, attention.shift
    twin = SwinTransformerBlock(dim, attention.heads, (window, window), (shift, shift))
    own = block.state_dict()
    state = {key: own[key] for key in own if "attn" not in key and "mlp" not in key}
    for part in ("weight", "bias"):
        state[f"attn.qkv.{part}"] = torch.cat([own[f"attn.{name}.{part}"] for name in "qkv"])
        state[f"attn.proj.{part}"] = own[f"attn.proj.{part}"]
        state[f"mlp.linear1.{part}"] = own[f"mlp.fc1.{part}"]
        state[f"mlp.linear2.{part}"] = own[f"mlp.fc2.{part}"]
    left_out = twin.load_state_dict(state, strict=False)
    assert set(left_out.missing_keys) == {"attn.relative_position_bias_table", "attn.relative_position_index"}
    torch.nn.init.zeros_(twin.attn.relative_position_bias_table)
    return twin


@pytest.mark.parametrize(
    ("h", "w", "window", "shift"), [(8, 8, 4, 0), (8, 8, 4, 2), (6, 9, 3, 1), (12, 8, 4, 3), (8, 8, 8, 4), (4, 4, 7, 3)]
)
def test_block_gives_the_numbers_of_monai_without_relative_positions(h: int, w: int, window: int, shift: int) -> None:
    torch.manual_seed(0)
    block = WindowBlock(12, heads=3, window=window, shift=shift)
    x = torch.randn(2, h, w, 12)
    twin = monai_twin(block)
    mask = compute_mask([h, w], (window, window), (shift, shift), "cpu") if window < min(h, w) else None
    torch.testing.assert_close(block(x), twin(x, mask), atol=1e-5, rtol=1e-5)


def written_out(attention: WindowAttention, x: torch.Tensor, shift: int) -> torch.Tensor:
    """Every pair of cells compared by where they lie: same window of the shifted grid, same side of the seam."""
    h, w = x.shape[1:3]
    window = attention.window
    sides = []
    for side in (h, w):
        full = -(-side // window) * window
        place = (np.arange(side) - shift) % full  # where a cell stands in the shifted grid
        sides.append((place // window, np.arange(side) < shift))
    may = np.ones((h, w, h, w), dtype=bool)
    for axis, (number, wrapped) in enumerate(sides):
        same = (number[:, None] == number[None]) & (wrapped[:, None] == wrapped[None])
        may &= same[:, None, :, None] if axis == 0 else same[None, :, None, :]
    tokens = x.flatten(1, 2)
    q, k, v = (
        layer(tokens).unflatten(-1, (attention.heads, -1)).transpose(1, 2)
        for layer in (attention.q, attention.k, attention.v)
    )
    scores = q @ k.mT / q.shape[-1] ** 0.5
    scores = scores.masked_fill(~torch.from_numpy(may).reshape(h * w, h * w), -torch.inf)
    return attention.proj((scores.softmax(-1) @ v).transpose(1, 2).flatten(2)).unflatten(1, (h, w))


@pytest.mark.parametrize(
    ("h", "w", "window", "shift"), [(5, 7, 4, 0), (5, 7, 4, 2), (9, 6, 4, 1), (10, 5, 5, 0), (7, 7, 3, 1), (6, 6, 4, 2)]
)
def test_sides_that_windows_do_not_divide_are_filled_with_nothing(h: int, w: int, window: int, shift: int) -> None:
    torch.manual_seed(0)
    attention = WindowAttention(8, heads=2, window=window, shift=shift)
    x = torch.randn(2, h, w, 8)
    torch.testing.assert_close(attention(x), written_out(attention, x, shift))


def test_a_window_as_large_as_the_grid_sees_all_and_is_not_shifted() -> None:
    torch.manual_seed(0)
    shifted = WindowAttention(8, heads=2, window=16, shift=8)
    x = torch.randn(2, 6, 6, 8)
    plain = WindowAttention(8, heads=2, window=6)
    plain.load_state_dict(shifted.state_dict())
    assert torch.equal(shifted(x), plain(x))
    changed = x.clone()
    changed[:, 0, 0] += 1
    assert ((shifted(changed) - shifted(x)).abs().amax((0, 3)) > 1e-4).all()


def test_guidance_joins_queries_and_keys_alone() -> None:
    torch.manual_seed(0)
    attention = WindowAttention(8, heads=2, window=3, shift=1, guidance_dim=4)
    x, guidance = torch.randn(2, 5, 6, 6, 8), torch.randn(2, 1, 6, 6, 4)
    joined = torch.cat([x, guidance.expand(-1, 5, -1, -1, -1)], -1)
    # The same attention on joined tokens, whose values do not read the guidance.
    wide = WindowAttention(12, heads=2, window=3, shift=1)
    with torch.no_grad():
        for name in "qk":
            own, other = getattr(attention, name), getattr(wide, name)
            other.weight.zero_()
            other.bias.zero_()
            for head in range(2):  # heads of 6 here, of 4 there
                other.weight[6 * head : 6 * head + 4] = own.weight[4 * head : 4 * head + 4] * (6 / 4) ** 0.25
                other.bias[6 * head : 6 * head + 4] = own.bias[4 * head : 4 * head + 4] * (6 / 4) ** 0.25
        wide.v.weight.zero_()
        wide.v.bias.zero_()
        wide.proj.weight.zero_()
        wide.proj.bias[:8] = attention.proj.bias
        for head in range(2):
            wide.v.weight[6 * head : 6 * head + 4, :8] = attention.v.weight[4 * head : 4 * head + 4]
            wide.v.bias[6 * head : 6 * head + 4] = attention.v.bias[4 * head : 4 * head + 4]
            wide.proj.weight[:8, 6 * head : 6 * head + 4] = attention.proj.weight[:, 4 * head : 4 * head + 4]
    torch.testing.assert_close(attention(x, guidance), wide(joined)[..., :8])


def test_gradients_reach_every_cell_of_a_padded_grid() -> None:
    x = torch.randn(1, 5, 7, 8, requires_grad=True)
    WindowBlock(8, heads=2, window=4, shift=2)(x).square().sum().backward()
    assert x.grad is not None and x.grad.isfinite().all() and (x.grad.abs().amax(-1) > 0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": 3, "window": 4}, "8 is not a multiple of the number of heads 3"),
        ({"heads": 2, "window": 4, "shift": 4}, "less than the window 4, got 4"),
    ],
)
def test_impossible_sizes_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WindowAttention(8, **options)
