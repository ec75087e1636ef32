# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from radbundles.networks import CostAggregator, cost_volume

GUIDED: dict[str, Any] = {
    "text_dim": 12,
    "text_width": 5,
    "appearance_dim": 7,
    "appearance_width": 6,
    "decoder_dims": (4, 3),
    "decoder_guidance_widths": (3, 2),
}


def aggregator(**options: Any) -> CostAggregator:
    torch.manual_seed(0)
    return CostAggregator(**{"dim": 16, "prompt_channels": 2, "heads": 2, "window": 4} | options)


def inputs(T: int = 5, side: tuple[int, int] = (8, 8)) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, 12, *side, generator=generator), torch.randn(T, 2, 12, generator=generator)


def guidance(h: int = 8, w: int = 8) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    sizes = ((7, 1), (4, 2), (3, 4))
    return [torch.randn(2, channels, h * n, w * n, generator=generator) for channels, n in sizes]


class Largest(TorchDispatchMode):
    """Watches for the largest tensor that any operation makes."""

    def __init__(self) -> None:
        super().__init__()
        self.values = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.values = max(self.values, result.untyped_storage().nbytes() // result.element_size())
        return result


def test_published_sizes_have_the_published_entries_and_parameters() -> None:
    published = CostAggregator()
    assert len(published.state_dict()) == 66
    assert sum(parameter.numel() for parameter in published.parameters()) == 213_873


@pytest.mark.parametrize("T", [1, 3, 200])
def test_any_number_of_classes(T: int) -> None:
    cells, prompts = inputs(T)
    with torch.no_grad():
        logits = aggregator()(cells, prompts)
    assert logits.shape == (2, T, 32, 32) and logits.isfinite().all()


@pytest.mark.parametrize("side", [(4, 4), (5, 7), (1, 3), (16, 12)])
def test_any_grid(side: tuple[int, int]) -> None:
    logits = aggregator(**GUIDED)(*inputs(side=side), guidance(*side))
    assert logits.shape == (2, 5, 4 * side[0], 4 * side[1])
    logits.square().mean().backward()
    assert logits.isfinite().all()


@pytest.mark.parametrize("attention", ["linear", "full"])
@pytest.mark.parametrize("guided", [False, True])
def test_permuted_classes_give_permuted_logits(attention: str, guided: bool) -> None:
    module = aggregator(attention=attention, depth=2, **(GUIDED if guided else {}))
    cells, prompts = inputs()
    order = torch.tensor([3, 1, 4, 0, 2])
    logits = module(cells, prompts, guidance())
    torch.testing.assert_close(module(cells, prompts[order], guidance()), logits[:, order], atol=1e-5, rtol=1e-5)


def test_classes_see_each_other() -> None:
    module, (cells, prompts) = aggregator(), inputs()
    assert (module(cells, prompts)[:, :2] - module(cells, prompts[:2])).abs().max() > 1e-4


def test_only_direction_of_cells_and_prompts_counts() -> None:
    module, (cells, prompts) = aggregator(), inputs()
    torch.testing.assert_close(module(3 * cells, 2 * prompts), module(cells, prompts), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("chunk", [1, 2, 5, 9])
@pytest.mark.parametrize("guided", [False, True])
def test_chunks_of_classes_change_nothing(chunk: int, guided: bool) -> None:
    module = aggregator(depth=2, **(GUIDED if guided else {}))
    cells, prompts = inputs()
    whole = module(cells, prompts, guidance())  # with gradients: all classes at once
    module.class_chunk = chunk
    with torch.no_grad():
        torch.testing.assert_close(module(cells, prompts, guidance()), whole, atol=1e-5, rtol=1e-5)


def test_exported_program_takes_any_number_of_images() -> None:
    """Also with guidance, which every map of its image shares."""
    network, batch = aggregator(**GUIDED).eval(), {0: torch.export.Dim("batch", min=1)}
    (cells, prompts), given = inputs(), guidance()
    shapes: Any = (batch, None, [batch] * len(given))
    program = torch.export.export(network, (cells, prompts, given), dynamic_shapes=shapes).module()
    three = [tensor[[0, 1, 0]] for tensor in (cells, *given)]
    with torch.no_grad():
        expected, found = (run(three[0], prompts, three[1:]) for run in (network, program))
    torch.testing.assert_close(found, expected)


def test_memory_is_bounded_for_200_classes() -> None:
    """No tensor is larger than the bound of a chunk, or the maps of all classes at the grid of the cells."""
    module = aggregator(window=16, decoder_widths=(16, 16))
    cells, prompts = inputs(200, (32, 32))
    maps = 200 * 16 * 32**2
    with torch.inference_mode(), Largest() as largest:
        module(cells[:1], prompts)
    assert maps <= largest.values <= 2**23
    with torch.inference_mode(), Largest() as largest:
        module.class_chunk = 200
        module(cells[:1], prompts)
    assert largest.values >= 16 * maps  # what it would be


def test_every_parameter_is_trained() -> None:
    module = aggregator(depth=2, **GUIDED)
    cells, prompts = inputs()
    module(cells.requires_grad_(), prompts.requires_grad_(), guidance()).square().mean().backward()
    assert not [name for name, parameter in module.named_parameters() if parameter.grad is None]
    assert cells.grad is not None and prompts.grad is not None and cells.grad.any() and prompts.grad.any()


@pytest.mark.parametrize("attention", ["linear", "full"])
def test_bfloat16_is_close_to_float32(attention: str) -> None:
    module = aggregator(attention=attention, depth=2, **GUIDED)
    cells, prompts = inputs(40)
    reference = module(cells, prompts, guidance())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = module(cells, prompts, guidance())
        logits.square().mean().backward()
    assert logits.dtype == torch.float32
    assert (logits - reference).abs().max() < 0.05 * reference.std() + 0.02
    gradients = [parameter.grad for parameter in module.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)


def test_prompts_of_each_image() -> None:
    module = aggregator(**GUIDED)
    cells, prompts = inputs()
    both = torch.stack([prompts, prompts.flip(0)])
    logits = module(cells, both, guidance())
    first = module(cells[:1], prompts, [each[:1] for each in guidance()])
    second = module(cells[1:], prompts.flip(0), [each[1:] for each in guidance()])
    torch.testing.assert_close(logits, torch.cat([first, second]), atol=1e-5, rtol=1e-5)


def test_text_guides_by_the_direction_of_the_mean_of_prompts_as_they_are() -> None:
    module = aggregator(text_dim=12, text_width=5)
    cells, prompts = inputs()
    seen: list[torch.Tensor] = []
    module.layers[0].get_submodule("classes").register_forward_pre_hook(lambda _, args: seen.append(args[1]))
    module(cells, prompts)
    layer = module.text_projection
    assert layer is not None
    mean = prompts.mean(1)
    torch.testing.assert_close(seen[0], layer(mean / mean.norm(dim=-1, keepdim=True)).relu()[None])
    lengthened = prompts * torch.tensor([3.0, 1.0])[:, None]  # same cosines, another mean
    torch.testing.assert_close(cost_volume(cells, lengthened), cost_volume(cells, prompts))
    assert (module(cells, lengthened) - module(cells, prompts)).abs().max() > 1e-4


def test_layers_share_one_projected_appearance() -> None:
    module = aggregator(depth=2, appearance_dim=7, appearance_width=6)
    seen: list[torch.Tensor] = []
    for layer in module.layers:
        layer.register_forward_pre_hook(lambda _, args: seen.append(args[1]))
    given = guidance()[:1]
    module(*inputs(), given)
    projection = module.guidance_projections[0]
    assert isinstance(projection, torch.nn.Conv2d)
    expected = F.relu(F.conv2d(given[0], projection.weight, projection.bias, padding=1))
    torch.testing.assert_close(seen[0], expected)
    assert seen[0] is seen[1]


@pytest.mark.parametrize(
    ("prompts", "guide", "message"),
    [
        ((5, 3, 12), [], r"prompts \[T, 2, D\] of one class or more are needed, got \(5, 3, 12\)"),
        ((0, 2, 12), [], r"got \(0, 2, 12\)"),
        ((2, 12), [], r"got \(2, 12\)"),
        ((5, 2, 12), [], r"guidance 0 must be of the shape \(7, 8, 8\) after the batch, got None"),
        ((5, 2, 12), [(2, 7, 8, 8), (2, 4, 8, 8)], r"guidance 1 must be of the shape \(4, 16, 16\) .* got \(4, 8, 8\)"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(
    prompts: tuple[int, ...], guide: list[tuple[int, ...]], message: str
) -> None:
    module = aggregator(**(GUIDED | {"text_dim": 0, "text_width": 0}))
    with pytest.raises(ValueError, match=message):
        module(inputs()[0], torch.rand(prompts), [torch.rand(shape) for shape in guide])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text_dim": 12}, "text guidance needs a width and one to project to, or 0 twice: 12, 0"),
        ({"decoder_guidance_widths": (0, 4)}, "decoder 2 guidance needs .* 0, 4"),
        ({"depth": 0}, "depth must be 1 or more, got 0"),
        ({"class_chunk": 0}, "class_chunk must be 1 or more, got 0"),
        ({"heads": 3}, "16 is not a multiple of the number of heads 3"),
    ],
)
def test_impossible_sizes_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        aggregator(**options)
