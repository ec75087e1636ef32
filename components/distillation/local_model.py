# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A causal language model of the library transformers on this machine: conversations in, tokens out."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radbundles.components.distillation.brake import Brake
from radbundles.components.distillation.chat import Message
from radbundles.components.distillation.shared_prefix import SharedPrefix

if TYPE_CHECKING:
    import torch

_READ = (  # what decides the replies; a note beside the model changes nothing
    "*.model",
    "*.safetensors",
    "*.safetensors.index.json",
    "added_tokens.json",
    "chat_template*",
    "config.json",
    "generation_config.json",
    "merges.txt",
    "special_tokens_map.json",
    "tokenizer*",
    "vocab*",
)
_TWICE = "consolidated*"  # the same weights once more, in the layout of another program


@dataclass(frozen=True)
class LocalModel:
    """A model and its tokenizer. :meth:`read` is the way to one. Not for two threads at a time.

    Args:
        name: of the model, with a digest of its files and the number format it computes in.
        network: the model.
        tokenizer: its tokenizer, with a chat template.
        ends: tokens that end a reply.
        context: tokens that conversation and reply have to fit in, None if there is no bound.
        system: whether the chat template knows messages of the system.
        prefix: what the network remembers of the beginning of all conversations.
    """

    name: str
    network: Any
    tokenizer: Any
    ends: frozenset[int]
    context: int | None
    system: bool
    prefix: SharedPrefix

    @classmethod
    def read(cls, source: str | Path, *, device: str | torch.device | None = None, dtype: str = "auto") -> LocalModel:
        """Read a model; code that comes with it is never run, pickled weights are never opened.

        Args:
            source: folder as ``save_pretrained`` writes it, or the name of a repository on the Hugging Face Hub.
            device: by default the GPU if there is one.
            dtype: "float32", "bfloat16" or "float16"; "auto" is bfloat16 on a GPU that has it, float16 on an older one
                and float32 elsewhere.

        Raises:
            ValueError: if there is no such model, it has no safetensors weights, its weights are incomplete, or it was
                not made to chat.
        """
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

        if dtype not in ("auto", "float32", "bfloat16", "float16"):
            raise ValueError(f"dtype must be auto, float32, bfloat16 or float16, got {dtype!r}")
        place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        if dtype == "auto":
            dtype = _fast_format(place)
        folder, name = _find(source)
        safe: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        tokenizer = AutoTokenizer.from_pretrained(str(folder), **safe)
        if not tokenizer.chat_template:
            raise ValueError(f"{name} has no chat template, so it was not made to answer: take its instruct version")
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            str(folder), use_safetensors=True, dtype=getattr(torch, dtype), output_loading_info=True, **safe
        )
        network, found = loaded
        if missing := sorted(found["missing_keys"]):  # the library would fill them with noise and only warn
            raise ValueError(f"the weights of {name} lack {len(missing)} tensors of the model, first {missing[:3]}")
        ends = _token_set(network.generation_config.eos_token_id) | _token_set(tokenizer.eos_token_id)
        if not ends:
            raise ValueError(f"{name} names no token that ends a reply (eos_token)")
        if tokenizer.pad_token_id is None:  # the attention mask hides it, so any token does
            tokenizer.pad_token_id = min(ends)
        # In place of the model's own settings: sampling and penalties on repetition are wrong for quotes.
        network.generation_config = GenerationConfig(
            do_sample=False, eos_token_id=sorted(ends), pad_token_id=tokenizer.pad_token_id
        )
        return cls(
            name=f"{name}@{_digest(folder)[:12]}-{dtype}",
            network=network.to(place).eval(),
            tokenizer=tokenizer,
            ends=frozenset(ends),
            context=getattr(network.config.get_text_config(), "max_position_embeddings", None),
            system=_knows_system(tokenizer),
            prefix=SharedPrefix(network),
        )

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """The tokens of a conversation, up to where the reply begins."""
        turns = [dict(message) for message in messages]
        if not self.system and len(turns) > 1 and turns[0]["role"] == "system":
            turns[:2] = [{"role": turns[1]["role"], "content": f"{turns[0]['content']}\n\n{turns[1]['content']}"}]
        # Models that think first would spend the reply on it; templates of others ignore the last argument.
        encoded = self.tokenizer.apply_chat_template(
            turns, add_generation_prompt=True, return_dict=True, enable_thinking=False
        )
        ids: list[int] = encoded["input_ids"]
        return ids

    def generate(
        self, conversations: Sequence[list[int]], *, max_new_tokens: int, stop: Callable[[], bool] = lambda: False
    ) -> list[list[int]]:
        """The likeliest next tokens of each conversation, including the one that ends the reply if it came to that.

        A reply that only repeats itself is broken off.

        Args:
            conversations: tokens as :meth:`encode` gives them.
            max_new_tokens: longest reply.
            stop: asked at every step; True ends all replies where they are.
        """
        import torch

        with torch.inference_mode():
            known, cache = self.prefix.cache(conversations)
            width = max(len(tokens) for tokens in conversations)
            ids = torch.full((len(conversations), width), self.tokenizer.pad_token_id)
            mask = torch.zeros_like(ids)
            for row, tokens in enumerate(conversations):  # padded left of what differs: all replies begin at one place
                for part, place in ((tokens[:known], 0), (tokens[known:], width - len(tokens) + known)):
                    ids[row, place : place + len(part)] = torch.tensor(part)
                    mask[row, place : place + len(part)] = 1
            brake = Brake(width, stop)
            output = self.network.generate(
                ids.to(self.network.device),
                attention_mask=mask.to(self.network.device),
                past_key_values=cache,
                max_new_tokens=max_new_tokens,
                stopping_criteria=[brake],
            )
        return [self._until_end(brake.written(row, new)) for row, new in enumerate(output[:, width:].tolist())]

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of a reply, with spaces as they were written: a quote has to be found again."""
        text: str = self.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    def _until_end(self, row: list[int]) -> list[int]:
        for place, token in enumerate(row):
            if token in self.ends:
                return row[: place + 1]
        return row


def _find(source: str | Path) -> tuple[Path, str]:
    """The folder of a model, and its name without the places of this machine."""
    folder, name = Path(source).expanduser(), str(source)
    if folder.is_dir():
        folder, name = folder.resolve(), folder.resolve().name
    elif folder.suffix == ".gguf":
        raise ValueError(f"{folder.name}: GGUF files are for llama.cpp and Ollama; serve it there and give the address")
    elif isinstance(source, Path) or not re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", name):
        raise ValueError(f"no folder at {source}")
    else:
        folder = _download(name)
    if not (folder / "config.json").is_file() or (folder / "adapter_config.json").is_file():
        raise ValueError(f"{name} is no whole model: it needs a config.json, and adapters merged into it")
    if not any(folder.glob("*.safetensors")):
        raise ValueError(
            f"{name} holds no weights as safetensors; pickled ones (pytorch_model.bin) can run code and are not opened"
        )
    return folder, name


def _download(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return Path(snapshot_download(name, allow_patterns=list(_READ), ignore_patterns=["*/*", _TWICE]))
    except (HfHubHTTPError, OSError) as error:
        raise ValueError(
            f"{name} is no folder on this machine, and the Hugging Face Hub gave no such model ({type(error).__name__})"
        ) from error


def _digest(folder: Path) -> str:
    """SHA-256 of all that is read of a model. Weights are hashed in full: two fine-tunings differ in nothing else."""
    files = {path for pattern in _READ for path in folder.glob(pattern)} - set(folder.glob(_TWICE))
    whole = hashlib.sha256()
    for path in sorted(files):
        one = hashlib.sha256()
        with path.open("rb") as stream:
            while block := stream.read(1 << 22):
                one.update(block)
        whole.update(f"{path.name} {one.hexdigest()}\n".encode())
    return whole.hexdigest()


def _fast_format(device: torch.device) -> str:
    import torch

    if device.type != "cuda":
        return "float32"
    return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"


def _knows_system(tokenizer: Any) -> bool:
    """Whether the text of the system gets into the conversation: some templates refuse it, some drop it."""
    from jinja2 import TemplateError

    mark = "instructions-of-the-system"
    try:
        text: str = tokenizer.apply_chat_template(
            [{"role": "system", "content": mark}, {"role": "user", "content": "report"}], tokenize=False
        )
    except TemplateError:
        return False
    return mark in text


def _token_set(tokens: int | Sequence[int] | None) -> set[int]:
    if tokens is None:
        return set()
    return {tokens} if isinstance(tokens, int) else set(tokens)
