# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from radbundles.components.data.datalist import iter_datalist
from radbundles.components.inference import annotate_windows, report_attention_transform
from radbundles.networks import ECAMP
from radbundles.transforms import SPECIAL_TOKENS, build_report_tokenizer


class LooksAtTheBrightest(ECAMP):
    """Every token attends to the brightest patch of the image alone."""

    def __init__(self) -> None:
        sizes: dict[str, Any] = {"dim": 8, "depth": 1, "heads": 1, "decoder_dim": 8, "decoder_depth": 1}
        text: dict[str, Any] = {"vocab_size": 80, "text_dim": 8, "text_layers": 1, "text_heads": 1, "text_ffn": 8}
        super().__init__(**sizes, decoder_heads=1, **text)

    def cross_attention(
        self, image: torch.Tensor, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> torch.Tensor:
        assert not self.training
        brightness = torch.nn.functional.avg_pool2d(image[:, 0], 32).flatten(1)
        maps = torch.nn.functional.one_hot(brightness.argmax(dim=1), 196).float().reshape(-1, 1, 1, 14, 14)
        return maps.expand(-1, 6, input_ids.shape[1], -1, -1)


@pytest.fixture
def tokenizer_file(tmp_path: Path) -> Path:
    letters = "abcdefghijklmnopqrstuvwxyz"
    pieces = [*SPECIAL_TOKENS, ".", *letters, *(f"##{letter}" for letter in letters)]
    build_report_tokenizer({piece: number for number, piece in enumerate(pieces)}).save(
        str(tmp_path / "tokenizer.json")
    )
    return tmp_path / "tokenizer.json"


@pytest.fixture
def items(tmp_path: Path) -> list[dict[str, Any]]:
    """Bright spots at the corners and in the middle; a report without entity, a missing image, an empty report."""
    spots = {"a": (0, 0), "b": (440, 0), "c": (0, 440), "d": (220, 220)}
    for name, (x, y) in spots.items():
        image = Image.new("L", (448, 448), 20)
        image.paste(250, (x, y, x + 8, y + 8))
        image.save(tmp_path / f"{name}.png")
    effusion = {"findings": "Small effusion."}
    return [
        {"id": "a", "image": "a.png", "report": effusion},
        {"id": "b", "image": "b.png", "report": effusion, "labels": {"effusion": 1}},
        {"id": "c", "image": "c.png", "report": effusion, "window": [1, 1]},
        {"id": "d", "image": "d.png", "report": {"findings": "All good."}},
        {
            "id": "gone",
            "image": "secret-patient/gone.png",
            "patient": "secret-patient",
            "report": effusion,
            "window": [0, 0],
        },
        {"id": "mute", "image": "a.png", "report": {"findings": ""}},
    ]


def write(path: Path, items: list[dict[str, Any]]) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps({**item, "split": "training"}) + "\n" for item in items))
    else:
        path.write_text(json.dumps({"name": "spots", "label_names": ["effusion"], "training": items}))
    return path


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
@pytest.mark.parametrize("batch_size", [1, 4, 16])
def test_every_item_gets_its_window_and_keeps_the_rest(
    tmp_path: Path, tokenizer_file: Path, items: list[dict[str, Any]], suffix: str, batch_size: int
) -> None:
    source, output = write(tmp_path / f"data{suffix}", items), tmp_path / f"annotated{suffix}"
    network = LooksAtTheBrightest().train()
    transform = report_attention_transform(tokenizer_file=tokenizer_file, max_length=64)
    summary = annotate_windows(network, source, output, transform=transform, batch_size=batch_size)
    written = [item for _, _, item in iter_datalist(output)]
    windows = [item.pop("window", None) for item in written]
    # (row, column): the spot at the right of the first row needs the last column.
    assert windows == [[0, 0], [0, 2], [2, 0], [1, 1], None, None]
    assert written == [{key: value for key, value in item.items() if key != "window"} for item in items]
    assert (summary.annotated, summary.without_entity) == (3, 1)
    assert [(fault["row"], fault["id"]) for fault in summary.faults] == [(5, "gone"), (6, "mute")]
    assert network.training


def test_header_of_a_json_datalist_is_kept(tmp_path: Path, tokenizer_file: Path, items: list[dict[str, Any]]) -> None:
    source = write(tmp_path / "data.json", items)
    transform = report_attention_transform(tokenizer_file=tokenizer_file, max_length=64)
    annotate_windows(LooksAtTheBrightest(), source, tmp_path / "out.json", transform=transform)
    document = json.loads((tmp_path / "out.json").read_text())
    assert document["name"] == "spots" and document["label_names"] == ["effusion"]


def test_faults_do_not_name_the_patient(tmp_path: Path, tokenizer_file: Path, items: list[dict[str, Any]]) -> None:
    source = write(tmp_path / "data.jsonl", items)
    transform = report_attention_transform(tokenizer_file=tokenizer_file, max_length=64)
    summary = annotate_windows(LooksAtTheBrightest(), source, tmp_path / "out.jsonl", transform=transform)
    assert "gone.png" in summary.faults[0]["reason"] and "secret-patient" not in str(summary)


def test_network_sees_the_whole_image_and_the_unmasked_report(
    tokenizer_file: Path, items: list[dict[str, Any]]
) -> None:
    transform = report_attention_transform(tokenizer_file=tokenizer_file, image_size=64, max_length=32)
    item = items[1] | {"image": str(tokenizer_file.parent / "b.png")}
    sample: Mapping[str, Any] = transform(item)
    assert sample["image"].shape == (3, 64, 64)
    assert sample["image"].mean() == pytest.approx((20 / 255 - 0.4721) / 0.3037, abs=0.02)
    assert sample["labels"].shape == (32,) and 3 not in sample["labels"].tolist()
    assert int(sample["entity"].sum()) == len("effusion")


def test_output_of_another_kind_is_refused(tmp_path: Path, items: list[dict[str, Any]]) -> None:
    source = write(tmp_path / "data.jsonl", items)
    with pytest.raises(ValueError, match="out.json must be of the same kind"):
        annotate_windows(LooksAtTheBrightest(), source, tmp_path / "out.json", transform=dict)
