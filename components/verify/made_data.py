# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A folder of made radiographs with all that any bundle trains on and is judged by."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

_COUNT, _SIZE, _SEED = 24, 96, 3
_SPLITS = (0.5, 0.25, 0.25)
_WORDS = 400
# Two labels a classifier learns, which in so few images have both outcomes in every section, unlike diseases.
_LABELS = ("calcified", "rotated")


def make_data(folder: Path) -> Path:
    """Write what the checks run on; the same at every call.

    ``data`` holds phantoms with reports, labels, masks, boxes and phrases, as PNG and DICOM in turn, with
    ``datalist.json``, ``distilled.jsonl``, ``sentences.jsonl``, ``tokenizer.json`` and ``text_encoder`` (a BERT with
    random weights); ``images`` holds a DICOM and a PNG of them alone.

    Args:
        folder: to write to; made if missing.

    Returns:
        ``folder``.
    """
    from radbundles.components.data.tokenizer_training import ReportCorpus, train_tokenizer
    from radbundles.components.distillation import RuleDistiller, distill_datalist
    from radbundles.components.phantom import write_phantoms
    from radbundles.components.sentences import label_sentences

    data = folder / "data"
    datalist = write_phantoms(data, count=_COUNT, seed=_SEED, size=_SIZE, splits=_SPLITS)
    _label(datalist)
    distill_datalist(datalist, data / "distilled.jsonl", RuleDistiller("chest"))
    label_sentences(datalist, data / "sentences.jsonl", table="findings")
    corpus = ReportCorpus(datalist, distilled=data / "distilled.jsonl")
    train_tokenizer(corpus, vocab_size=_WORDS, out=data / "tokenizer.json")
    _save_text_encoder(data)
    (folder / "images").mkdir()
    for suffix in (".dcm", ".png"):
        image = min(path for path in (data / "images").iterdir() if path.suffix == suffix)
        shutil.copyfile(image, folder / "images" / image.name)
    return folder


def _label(datalist: Path) -> None:
    content = json.loads(datalist.read_text(encoding="utf-8"))
    for section in ("training", "validation", "test"):
        for place, item in enumerate(content[section]):
            item["labels"] |= {name: place // 2**power % 2 for power, name in enumerate(_LABELS)}
    content["label_names"] = [*content.get("label_names", ()), *_LABELS]
    datalist.write_text(json.dumps(content), encoding="utf-8")


def _save_text_encoder(data: Path) -> None:
    """Save a small BERT for the tokenizer, in the form that transformers loads."""
    from tokenizers import Tokenizer

    from radbundles.networks import build_bert

    words = Tokenizer.from_file(str(data / "tokenizer.json")).get_vocab_size()
    encoder = build_bert(vocab_size=words, dim=16, layers=1, heads=2, ffn=32, max_length=80)
    encoder.save_pretrained(data / "text_encoder")
    shutil.copyfile(data / "tokenizer.json", data / "text_encoder" / "tokenizer.json")
