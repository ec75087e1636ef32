# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from torch import nn

from radbundles.components.zero_shot import ClassPrompts, DenseZeroShot, PromptTable
from radbundles.networks import prompt_channels

TABLE: dict[str, Any] = {
    "name": "known",
    "style": "plain",
    "styles": {
        "plain": {"positive": ["there is {term}"], "negative": ["there is no {term}"]},
        "short": {"positive": ["{term}"], "negative": []},
    },
    "classes": {
        "Bright": {
            "terms": ["bright", "a bright", "bright is bright", "bright bright", "bright dark", "dark bright a"]
        },
        "Dark": {"terms": ["dark"]},
    },
}


@pytest.fixture
def network(known_dense: DenseZeroShot) -> Any:
    return known_dense.network


def prompts(network: Any, tokenizer: Tokenizer, **settings: Any) -> ClassPrompts:
    arguments = {"classes": ["Dark", "Bright"], "prompts": PromptTable(TABLE), **settings}
    return ClassPrompts(network, tokenizer=tokenizer, **arguments)


def test_prompts_are_those_of_the_classes_in_their_order(
    network: Any, tokenizer: Tokenizer, known_dense: DenseZeroShot
) -> None:
    made = prompts(network, tokenizer)
    assert made.counts == [1, 6] and made.texts[:2] == ["there is dark", "there is bright"]
    vectors = known_dense.embed_text(made.texts)
    assert torch.equal(made(), prompt_channels(vectors, (1, 6), 4)) and made().shape == (2, 4, 2)
    torch.testing.assert_close(made()[0], torch.tensor([[0.0, 1.0]] * 4))
    short = prompts(network, tokenizer, prompts=PromptTable(TABLE, style="short"))
    assert short.texts[:2] == ["dark", "bright"]


def test_frozen_prompts_are_encoded_once_and_again_after_a_change_of_weights(
    network: Any, tokenizer: Tokenizer
) -> None:
    made = prompts(network, tokenizer)
    first = made()
    with torch.inference_mode():  # as in a validation
        made()
    assert torch.equal(made(), first) and network.text.calls == 1
    with torch.no_grad():
        network.text.table.mul_(2).add_(0.5)
    assert not torch.equal(made(), first) and network.text.calls == 2


@pytest.mark.parametrize("first_call_in_validation", [False, True])
def test_frozen_prompts_have_no_gradient_but_let_one_through(
    network: Any, tokenizer: Tokenizer, first_call_in_validation: bool
) -> None:
    made = prompts(network, tokenizer)
    if first_call_in_validation:
        with torch.inference_mode():
            made()
    vectors = made()
    assert not vectors.requires_grad and not vectors.is_inference()
    cells = torch.rand(2, requires_grad=True)
    (vectors @ cells).sum().backward()
    assert cells.grad is not None and cells.grad.abs().max() > 0


def test_frozen_prompts_are_encoded_in_eval_mode_and_float32(network: Any, tokenizer: Tokenizer) -> None:
    expected = prompts(network, tokenizer)()
    modes: list[tuple[bool, bool]] = []
    network.train()
    network.text.register_forward_hook(
        lambda *_: modes.append((network.text.training, torch.is_autocast_enabled("cpu")))
    )
    with torch.autocast("cpu", dtype=torch.bfloat16):
        made = prompts(network, tokenizer)()
    assert modes == [(False, False)] and network.text.training
    assert made.dtype == torch.float32 and torch.equal(made, expected)


def test_trained_prompts_are_encoded_at_each_call_where_gradients_are_on(network: Any, tokenizer: Tokenizer) -> None:
    made = prompts(network, tokenizer, train_text=True)
    made()[0, 0, 0].backward()
    made()
    assert network.text.calls == 2 and network.text.table.grad.abs().max() > 0
    with torch.no_grad():
        made()
        made()
    assert network.text.calls == 3


def test_random_prompts_are_drawn_anew_at_each_call(network: Any, tokenizer: Tokenizer) -> None:
    made = prompts(network, tokenizer, draw="random")
    torch.manual_seed(0)
    drawn = [made() for _ in range(6)]
    assert any(not torch.equal(one, drawn[0]) for one in drawn) and network.text.calls == 1
    torch.manual_seed(0)
    assert torch.equal(made(), drawn[0])


def test_a_class_can_be_its_own_term(network: Any, tokenizer: Tokenizer) -> None:
    with pytest.raises(KeyError, match="no class 'a_dark'"):
        prompts(network, tokenizer, classes=["a_dark"])
    assert prompts(network, tokenizer, classes=["a_dark"], own_terms=True).texts == ["there is a dark"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classes": []}, r"got \[\]"),
        ({"classes": "Dark"}, "got 'Dark'"),
        ({"classes": ["Dark", "Bright", "Dark"]}, "each once"),
        ({"channels": 3}, "channels=3, but the aggregator compares with 4"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    network: nn.Module, tokenizer: Tokenizer, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        prompts(network, tokenizer, **settings)


def test_dropout_encodes_in_train_mode_at_each_step_and_never_in_validation(network: Any, tokenizer: Tokenizer) -> None:
    made = prompts(network, tokenizer, dropout=True)
    modes: list[bool] = []
    network.text.register_forward_hook(lambda *_: modes.append(network.text.training))
    network.train()
    network.text.eval()  # as the objective leaves a frozen tower
    assert not made().requires_grad
    made()
    assert modes == [True, True] and not network.text.training
    network.eval()
    made()
    made()
    assert modes == [True, True, False]
