# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import logging
import pickle
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.components.distillation.tiny_model import TinyModel

from radbundles.components.distillation import TransformersChat
from radbundles.components.distillation.chat import (
    ChatError,
    ChatUnavailableError,
    ConversationError,
    Message,
    Reply,
)

LONGEST = 24
INSTRUCTIONS = "Say what the report says. " * 4  # long enough to be remembered from batch to batch
PLANTED = "Ermintrude Quuxley, MRN 5550173"
Chat = Callable[..., TransformersChat]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random model, saved as everyone saves one; some letters end its replies, so that lengths differ.

    It has no token for padding, so that another one takes that place, which would show if it were attended to.
    """
    path = tmp_path_factory.mktemp("models") / "tiny"
    tiny = TinyModel()
    tiny.network.generation_config.eos_token_id = [1, *range(60, 100)]
    tiny.network.save_pretrained(path)
    tiny.tokenizer.pad_token = None
    tiny.tokenizer.save_pretrained(path)
    return path


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "tiny"))


@pytest.fixture
def chat() -> Iterator[Chat]:
    opened: list[TransformersChat] = []

    def open_chat(folder: Path | str, **settings: Any) -> TransformersChat:
        opened.append(TransformersChat(folder, **{"device": "cpu", "max_new_tokens": LONGEST, **settings}))
        return opened[-1]

    yield open_chat
    for one in opened:
        one.close()


def conversation(text: str, system: str = INSTRUCTIONS) -> list[Message]:
    return [{"role": "system", "content": system}, {"role": "user", "content": text}]


def ask(model: TransformersChat, conversations: Sequence[list[Message]]) -> list[Reply]:
    return [future.result(timeout=30) for future in [model.send(turns, {}) for turns in conversations]]


REPORTS = [conversation("word " * count + "effusion" * (count % 3)) for count in (1, 30, 3, 12, 7, 21, 2, 5, 44, 9)]


def change_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_replies_do_not_depend_on_the_batch_and_come_to_those_who_asked(folder: Path, chat: Chat) -> None:
    alone = ask(chat(folder, batch_size=1), REPORTS)
    together = ask(chat(folder, batch_size=4), REPORTS)

    assert together == alone
    assert len({reply.text for reply in alone}) > len(REPORTS) // 2
    assert {reply.complete for reply in alone} == {True, False}


def test_a_reply_is_the_likeliest_token_after_the_other(folder: Path, chat: Chat) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    for turns, reply in zip(REPORTS, ask(chat(folder, batch_size=4), REPORTS), strict=True):
        encoded: Any = tokenizer.apply_chat_template(cast(Any, turns), add_generation_prompt=True, return_dict=True)
        ids: list[int] = encoded["input_ids"]
        start = len(ids)
        while len(ids) < start + LONGEST and (len(ids) == start or ids[-1] not in [1, *range(60, 100)]):
            with torch.no_grad():
                ids.append(int(network(torch.tensor([ids])).logits[0, -1].argmax()))
        ended = ids[-1] in [1, *range(60, 100)]
        assert reply == Reply(
            str(tokenizer.decode(ids[start:], skip_special_tokens=True)),
            complete=ended,
            prompt_tokens=start,
            completion_tokens=len(ids) - start,
        )


def test_settings_of_the_model_for_free_talk_are_not_used(copy: Path, folder: Path, chat: Chat) -> None:
    settings = {"do_sample": True, "temperature": 5.0, "repetition_penalty": 3.0, "max_new_tokens": 2}
    change_json(copy / "generation_config.json", **settings)

    assert ask(chat(copy), REPORTS[:3]) == ask(chat(folder), REPORTS[:3])


def test_a_full_memory_halves_the_batch(folder: Path, chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = ask(chat(folder, batch_size=1), REPORTS[:5])
    model = chat(folder, batch_size=5)
    sizes = limit_memory(model, 2, monkeypatch)

    assert ask(model, REPORTS[:5]) == expected
    assert sizes[0] > 2
    assert max(sizes[1:]) <= 3


def test_a_conversation_that_never_fits_fails_alone(folder: Path, chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    model = chat(folder)
    limit_memory(model, 0, monkeypatch)
    future = model.send(conversation(PLANTED), {})

    with pytest.raises(ConversationError, match=r"memory of the GPU does not suffice for \d+ tokens"):
        future.result(timeout=30)
    monkeypatch.undo()
    assert ask(model, REPORTS[:1])


def limit_memory(model: TransformersChat, most: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let a model run out of memory with more than so many conversations at a time; the sizes it tried."""
    network, sizes = model._local.network, []
    generate = network.generate

    def scarce(ids: torch.Tensor, **settings: Any) -> torch.Tensor:
        sizes.append(len(ids))
        if len(ids) > most:
            raise torch.OutOfMemoryError(f"while reading {PLANTED}")
        output: torch.Tensor = generate(ids, **settings)
        return output

    monkeypatch.setattr(network, "generate", scarce)
    return sizes


def test_a_reply_that_goes_round_in_circles_is_cut_off_alone(
    copy: Path, chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = load_file(copy / "model.safetensors")  # what follows depends on the last token, nearly
    weights["model.layers.0.self_attn.o_proj.weight"] *= 0.002
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    change_json(copy / "generation_config.json", eos_token_id=1)
    alone = ask(chat(copy, batch_size=1, max_new_tokens=600), REPORTS[:6])
    together = ask(chat(copy, batch_size=4, max_new_tokens=600), REPORTS[:6])
    monkeypatch.setattr("radbundles.components.distillation.brake._TAIL", 10_000)
    free = ask(chat(copy, batch_size=4, max_new_tokens=600), REPORTS[:6])

    assert together == alone
    assert len({braked.completion_tokens for braked in alone}) > 2  # those that stop first are padded with an end
    for braked, whole in zip(alone, free, strict=True):
        assert not braked.complete
        assert braked.completion_tokens % 32 == 0
        assert whole.completion_tokens > braked.completion_tokens >= 192
        assert whole.text.startswith(braked.text)


def test_a_conversation_beyond_the_context_fails_alone(folder: Path, chat: Chat) -> None:
    model = chat(folder, max_length=300)
    short, long, after = (model.send(conversation(text), {}) for text in ("ok", "long " * 300, "fine"))

    assert short.result(timeout=30).text != after.result(timeout=30).text
    with pytest.raises(ConversationError, match=r"^1,\d\d\d tokens, and the model takes 300 with 24 for the reply$"):
        long.result(timeout=30)


def test_the_context_of_the_model_is_the_bound_by_default(copy: Path, chat: Chat) -> None:
    change_json(copy / "config.json", max_position_embeddings=100)

    with pytest.raises(ConversationError, match="the model takes 100 with 24"):
        ask(chat(copy, max_length=5_000), [conversation("long " * 30)])
    with pytest.raises(ValueError, match="room for the report: got 100 of 100 tokens"):
        chat(copy, max_new_tokens=100)


@pytest.mark.parametrize(
    "start", ["{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}", ""]
)
def test_instructions_reach_a_model_that_knows_no_system(start: str, copy: Path, chat: Chat) -> None:
    template = (
        start + "{% for m in messages if m.role != 'system' %}<{{ m.role }}>{{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    (copy / "chat_template.jinja").write_text(template)
    model = chat(copy)
    example: list[Message] = [{"role": "assistant", "content": "yes"}, {"role": "user", "content": "again"}]

    read = model._local.decode(model._local.encode([*conversation("clear lungs", "be brief"), *example]))

    assert read == "<user>be brief\n\nclear lungs<assistant>yes<user>again<assistant>"


def test_a_model_that_can_think_first_is_told_not_to(copy: Path, chat: Chat) -> None:
    (copy / "chat_template.jinja").write_text(
        "{% if enable_thinking is defined and not enable_thinking %}no thoughts{% endif %}"
    )
    model = chat(copy)

    assert model._local.decode(model._local.encode(conversation("report"))) == "no thoughts"


def test_closing_drops_what_is_under_way(folder: Path, chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    model = chat(folder, batch_size=2)
    begun, network = threading.Event(), model._local.network
    generate = network.generate

    def announce(ids: torch.Tensor, **settings: Any) -> torch.Tensor:
        begun.set()  # and then write without end: only closing stops it
        output: torch.Tensor = generate(ids, **{**settings, "eos_token_id": None, "max_new_tokens": 1_000_000})
        return output

    monkeypatch.setattr(network, "generate", announce)
    futures = [model.send(turns, {}) for turns in REPORTS[:6]]
    assert begun.wait(30)
    model.close()
    model.close()

    for future in [*futures, model.send(REPORTS[0], {})]:
        with pytest.raises(ChatUnavailableError, match="closed"):
            future.result(timeout=0)
    assert not model._worker.is_alive()


def test_a_canceled_question_is_not_asked(folder: Path, chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    model = chat(folder, batch_size=1)
    free, local = threading.Event(), model._local
    encode, asked = local.encode, []

    def wait(messages: Sequence[Message]) -> list[int]:
        asked.append(messages[-1]["content"])
        assert free.wait(30)
        return encode(messages)

    monkeypatch.setattr(type(local), "encode", lambda self, messages: wait(messages))
    first, second, third = (model.send(conversation(text), {}) for text in ("one", "two", "three"))
    assert second.cancel()
    free.set()

    assert first.result(timeout=30) != third.result(timeout=30)
    assert asked == ["one", "three"]


def test_faults_of_the_model_reach_everyone_without_a_word_of_the_report(
    folder: Path, chat: Chat, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    model = chat(folder, batch_size=3, max_length=300)

    def fail(ids: torch.Tensor, **_: object) -> None:
        raise RuntimeError(f"cannot read {PLANTED}")

    with monkeypatch.context() as patch:
        patch.setattr(model._local.network, "generate", fail)
        futures: list[Future[Reply]] = [model.send(conversation(PLANTED), {}) for _ in range(4)]
        futures.append(model.send([{"role": "user", "content": PLANTED}], {}))
        futures.append(model.send([], {}))
        futures.append(model.send(conversation(PLANTED * 20), {}))
        errors = [future.exception(timeout=30) for future in futures]
    ask(model, [conversation(PLANTED)])

    for error in errors:
        assert isinstance(error, ChatError)
        assert PLANTED.split()[0] not in f"{error!r} {error.__cause__!r} {error.__context__!r}"
    assert str(errors[0]) == "the model failed with RuntimeError"
    assert PLANTED.split()[0] not in caplog.text + "".join(capfd.readouterr())


def test_a_template_that_complains_is_not_quoted(copy: Path, chat: Chat) -> None:
    (copy / "chat_template.jinja").write_text(
        "{% for m in messages %}{% if 'MRN' in m.content %}{{ raise_exception(m.content) }}{% endif %}"
        "{{ m.content }}{% endfor %}"
    )
    model = chat(copy)
    error = model.send(conversation(PLANTED), {}).exception(timeout=30)

    assert isinstance(error, ConversationError)
    assert str(error) == "the chat template failed with TemplateError"
    assert error.__cause__ is None
    assert error.__suppress_context__
    assert ask(model, REPORTS[:1])


def test_the_name_follows_the_files_and_not_their_place(folder: Path, copy: Path, chat: Chat) -> None:
    name = chat(folder).model
    (copy / "README.md").write_text("a note")
    assert chat(copy).model == name
    assert chat(f"{copy}/.").model == name
    assert name.startswith("tiny@")
    assert name.endswith("-float32")
    assert "/" not in name

    weights = load_file(copy / "model.safetensors")
    first = next(iter(weights))
    weights[first].view(-1)[0] += 1e-3
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    changed = chat(copy).model
    assert changed != name
    change_json(copy / "tokenizer_config.json", note="another")
    assert chat(copy).model not in (name, changed)


def test_half_precision_is_another_model(folder: Path, chat: Chat) -> None:
    model = chat(folder, dtype="bfloat16")

    assert model.model.endswith("-bfloat16")
    assert next(model._local.network.parameters()).dtype == torch.bfloat16
    assert ask(model, REPORTS[:2])


def test_pickled_weights_are_never_opened(copy: Path, chat: Chat, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "sprung",)

    (copy / "model.safetensors").unlink()
    (copy / "pytorch_model.bin").write_bytes(pickle.dumps(Trap()))

    with pytest.raises(ValueError, match="tiny holds no weights as safetensors; pickled ones"):
        chat(copy)
    assert not (tmp_path / "sprung").exists()


def test_code_beside_a_model_is_never_run(copy: Path, chat: Chat, tmp_path: Path) -> None:
    (copy / "own.py").write_text(f"from pathlib import Path\nPath({str(tmp_path / 'sprung')!r}).touch()\n")
    names = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}
    change_json(copy / "config.json", model_type="own", auto_map=names)

    with pytest.raises(ValueError, match="trust_remote_code"):
        chat(copy)
    assert not (tmp_path / "sprung").exists()


def test_a_model_that_was_not_made_to_chat_is_refused(copy: Path, chat: Chat) -> None:
    (copy / "chat_template.jinja").unlink()

    with pytest.raises(ValueError, match="tiny has no chat template"):
        chat(copy)


def test_a_model_without_an_end_of_its_replies_is_refused(copy: Path, chat: Chat) -> None:
    change_json(copy / "generation_config.json", eos_token_id=None)
    change_json(copy / "config.json", eos_token_id=None)
    change_json(copy / "tokenizer_config.json", eos_token=None)

    with pytest.raises(ValueError, match="no token that ends a reply"):
        chat(copy)


def test_incomplete_weights_are_refused(copy: Path, chat: Chat) -> None:
    weights = load_file(copy / "model.safetensors")
    del weights["model.layers.0.mlp.up_proj.weight"]
    save_file(weights, copy / "model.safetensors", {"format": "pt"})

    with pytest.raises(ValueError, match="lack 1 tensors of the model, first .*up_proj"):
        chat(copy)


def test_an_adapter_alone_is_refused(copy: Path, chat: Chat) -> None:
    (copy / "adapter_config.json").write_text("{}")

    with pytest.raises(ValueError, match="adapters merged"):
        chat(copy)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("/no/such/folder", "no folder at /no/such/folder"),
        ("./models/tiny", "no folder at"),
        ("tiny", "no folder at tiny"),
        ("models/tiny.Q4.gguf", "tiny.Q4.gguf: GGUF files are for llama.cpp"),
    ],
)
def test_what_is_no_model_is_refused(source: str, message: str, chat: Chat) -> None:
    with pytest.raises(ValueError, match=message):
        chat(source)


def test_a_repository_is_fetched_without_what_is_not_read(
    folder: Path, chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def fetch(name: str, **patterns: Any) -> str:
        asked.append(name)
        assert "*.bin" not in patterns["allow_patterns"]
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)

    assert chat("somebody/tiny-instruct").model.startswith("somebody/tiny-instruct@")
    assert asked == ["somebody/tiny-instruct"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1, got 0"),
        ({"dtype": "int8"}, "dtype must be .* got 'int8'"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str, folder: Path, chat: Chat) -> None:
    with pytest.raises(ValueError, match=message):
        chat(folder, **settings)
