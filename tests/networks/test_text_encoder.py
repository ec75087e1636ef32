# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertForMaskedLM

from radbundles.networks import build_bert, load_text_encoder
from radbundles.networks.pretrained_model import load_pretrained_model

REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def masked_lm() -> BertForMaskedLM:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=40,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=20,
        hidden_dropout_prob=0.25,
    )
    return BertForMaskedLM(config).eval()


def same(encoder: nn.Module, masked_lm: BertForMaskedLM) -> bool:
    ids = torch.arange(10)[None]
    ours = encoder.eval()(input_ids=ids).last_hidden_state
    return torch.allclose(ours, masked_lm.bert(input_ids=ids).last_hidden_state, atol=1e-6)


def test_built_bert_has_the_sizes_asked_for_and_no_pooler() -> None:
    bert = build_bert(vocab_size=40, dim=16, layers=3, heads=4, ffn=20, max_length=30, dropout=0.2)
    shapes = {key: tuple(value.shape) for key, value in bert.state_dict().items()}
    assert shapes["embeddings.word_embeddings.weight"] == (40, 16)
    assert shapes["embeddings.position_embeddings.weight"] == (30, 16)
    assert shapes["encoder.layer.2.intermediate.dense.weight"] == (20, 16)
    assert not [key for key in shapes if "pooler" in key or "layer.3" in key]
    assert {m.p for m in bert.modules() if isinstance(m, nn.Dropout)} == {0.2}
    assert bert.config._attn_implementation == "sdpa"


def test_saved_encoder_loads_from_its_folder(tmp_path: Path) -> None:
    bert = build_bert(vocab_size=40, dim=16, layers=1, heads=2).eval()
    bert.save_pretrained(tmp_path)
    loaded = load_text_encoder(tmp_path)
    assert all(torch.equal(value, bert.state_dict()[key]) for key, value in loaded.state_dict().items())
    assert not hasattr(loaded, "pooler") or loaded.pooler is None


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
def test_masked_language_model_loads_without_its_head(
    tmp_path: Path, masked_lm: BertForMaskedLM, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    masked_lm.save_pretrained(tmp_path)
    if kind == "bin":
        (tmp_path / "model.safetensors").unlink()
        torch.save(masked_lm.state_dict(), tmp_path / "pytorch_model.bin")
    with caplog.at_level(logging.INFO, logger="radbundles"):
        assert same(load_text_encoder(tmp_path), masked_lm)
    assert "hidden dropout 0.25" in caplog.text


def test_dropout_can_be_chosen(tmp_path: Path, masked_lm: BertForMaskedLM) -> None:
    masked_lm.save_pretrained(tmp_path)
    encoder = load_text_encoder(tmp_path, dropout=0.0)
    assert {m.p for m in encoder.modules() if isinstance(m, nn.Dropout)} == {0.0}


def test_encoder_whose_weights_are_incomplete_is_refused(tmp_path: Path, masked_lm: BertForMaskedLM) -> None:
    masked_lm.save_pretrained(tmp_path)
    state = masked_lm.state_dict()
    del state["bert.encoder.layer.1.output.dense.weight"]
    (tmp_path / "model.safetensors").unlink()
    torch.save(state, tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"lack 1 tensors of the model, first .*encoder.layer.1.output.dense.weight"):
        load_text_encoder(tmp_path)


def test_weights_that_need_code_to_be_read_are_refused(tmp_path: Path, masked_lm: BertForMaskedLM) -> None:
    masked_lm.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save({**masked_lm.state_dict(), "evil": print}, tmp_path / "pytorch_model.bin")
    with pytest.raises(Exception, match="(?i)weights_only|unsupported global"):
        load_text_encoder(tmp_path)


def test_code_of_a_folder_is_not_run(tmp_path: Path) -> None:
    code = "raise SystemExit('ran')"
    (tmp_path / "evil.py").write_text(code)
    config = {"model_type": "cxr-evil", "auto_map": {"AutoConfig": "evil.C", "AutoModel": "evil.M"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="cxr-evil|custom code|trust_remote_code"):
        load_text_encoder(tmp_path)


@pytest.mark.parametrize("revision", [None, "main", "v1.0", "0123456", REVISION.upper()])
def test_repository_without_a_pinned_commit_is_refused(revision: str | None) -> None:
    with pytest.raises(ValueError, match="commit of 40 hexadecimal digits.*branches and tags move"):
        load_text_encoder("microsoft/BiomedVLP-CXR-BERT-general", revision=revision)


@pytest.mark.parametrize("source", ["./weights", "/no/such/folder", Path("weights"), "a/b/c"])
def test_missing_folder_is_not_taken_for_a_repository(source: Any) -> None:
    with pytest.raises(ValueError, match="no folder at"):
        load_text_encoder(source, revision=REVISION)


def test_folder_has_no_revision(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is a folder and has no revision"):
        load_pretrained_model(tmp_path, revision=REVISION)


def test_pinned_repository_loads_from_the_cache_without_network(
    tmp_path: Path, masked_lm: BertForMaskedLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache as the Hub's client writes it, holding one commit."""
    repository = tmp_path / "models--lab--text"
    masked_lm.save_pretrained(repository / "snapshots" / REVISION)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert same(load_text_encoder("lab/text", revision=REVISION), masked_lm)
    with pytest.raises(OSError, match="lab/text|cached files"):
        load_text_encoder("lab/text", revision=REVISION.replace("0", "f"))
