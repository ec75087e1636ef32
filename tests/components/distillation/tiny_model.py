# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A real language model, tiny and random, that writes what a JSON Schema allows it to."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any


class TinyModel:
    """A Llama of one layer with seeded random weights, over bytes.

    What it prefers decides where a schema leaves a choice. Weights are drawn wide, since the usual ones give nearly the
    same distribution after any context.
    """

    context = 96  # tokens it looks back

    def __init__(self) -> None:
        import torch
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers
        from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        vocabulary = {piece: number for number, piece in enumerate(("<pad>", "<end>", *alphabet))}
        core = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
        core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        core.decoder = decoders.ByteLevel()
        self.tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", eos_token="<end>")
        self.tokenizer.chat_template = (
            "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}"
            "{% if add_generation_prompt %}[assistant] {% endif %}"
        )
        config = LlamaConfig(
            vocab_size=len(vocabulary),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=1,
            num_attention_heads=2,
            initializer_range=0.4,
            pad_token_id=0,
            bos_token_id=None,
            eos_token_id=1,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.network = LlamaForCausalLM(config).eval()
        self._lock = threading.Lock()

    @lru_cache(maxsize=4096)  # noqa: B019 (there is one model in a process)
    def tokens(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer.encode(text))

    def text(self, ids: Sequence[int]) -> str:
        text = self.tokenizer.decode(list(ids))
        assert isinstance(text, str)
        return text

    def prompt(self, messages: Sequence[Mapping[str, Any]]) -> str:
        turns = [dict(turn) for turn in messages]
        text: Any = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        assert isinstance(text, str)
        return text

    def write(self, messages: Sequence[Mapping[str, Any]], count: int) -> str:
        """Greedy text without constraint: random words."""
        ids = list(self.tokens(self.prompt(messages)))
        start = len(ids)
        for _ in range(count):
            ids.append(self._best(ids, range(2, len(self.tokenizer))))
        return self.text(ids[start:])

    def fill(self, messages: Sequence[Mapping[str, Any]], schema: Mapping[str, Any], quotes: Sequence[str]) -> str:
        """JSON that meets a schema, greedy among what the schema allows; free strings are taken from ``quotes``."""
        ids = list(self.tokens(self.prompt(messages)))
        start = len(ids)
        self._value(ids, schema, sorted(set(quotes)))
        return self.text(ids[start:])

    def _value(self, ids: list[int], schema: Mapping[str, Any], quotes: Sequence[str]) -> None:
        if "enum" in schema:
            self._choose(ids, [json.dumps(value) for value in schema["enum"]])
        elif schema["type"] == "object":
            for number, (name, inner) in enumerate(schema["properties"].items()):
                ids += self.tokens(f"{', ' if number else '{'}{json.dumps(name)}: ")
                self._value(ids, inner, quotes)
            ids += self.tokens("}")
        elif schema["type"] == "array":
            ids += self.tokens("[")
            many = 3 if schema["items"]["type"] == "object" else 1
            for number in range(many if quotes else 0):
                # it may stop where a comma or, at first, an item could stand
                if self._choose(ids, ["]", ", " if number else " "]) == "]":
                    return
                self._value(ids, schema["items"], quotes if many > 1 else [q for q in quotes if " " not in q])
            ids += self.tokens("]")
        elif schema["type"] == "string":
            self._choose(ids, [json.dumps(quote, ensure_ascii=False) for quote in quotes])
        else:
            raise ValueError(f"no way to fill a schema of type {schema['type']!r}")

    def _choose(self, ids: list[int], choices: Sequence[str]) -> str:
        """Append one of the choices, taken token by token where they part."""
        left = [(self.tokens(choice), choice) for choice in choices]
        place = 0
        while len(left) > 1:
            allowed = sorted({choice[place] for choice, _ in left})
            best = allowed[0] if len(allowed) == 1 else self._best(ids, allowed)
            ids.append(best)
            left = [pair for pair in left if pair[0][place] == best]
            place += 1
        ids += left[0][0][place:]
        return left[0][1]

    def _best(self, ids: Sequence[int], allowed: Sequence[int]) -> int:
        import torch

        with self._lock, torch.inference_mode():
            logits = self.network(input_ids=torch.tensor([ids[-self.context :]]), use_cache=False).logits[0, -1]
            return allowed[int(logits[list(allowed)].argmax())]
