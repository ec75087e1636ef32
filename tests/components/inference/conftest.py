# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Images that are bright in one place: ways of a bundle from them to a writer, and a network that looks there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jsonschema import Draft202012Validator
from monai.data import Dataset
from monai.engines import SupervisedEvaluator
from monai.transforms import Compose, NormalizeIntensityd, RepeatChanneld
from PIL import Image
from torch import nn

from radbundles.components.inference import ImageBatches, PreviewRadiographd, answer_schema, gather_images
from radbundles.networks import ECAMP
from radbundles.transforms import SPECIAL_TOKENS, FitRadiographd, LoadRadiographd, build_report_tokenizer

# Of each image: its size, and the bright quadrant as (x0, y0, x1, y1).
QUADRANTS = {
    "wide.png": ((380, 200), (0, 100, 190, 200)),
    "tall.png": ((260, 500), (130, 0, 260, 250)),
    "sub/wide.png": ((128, 128), (64, 64, 128, 128)),
}
SIDE = 128
Run = Callable[..., list[dict[str, Any]]]


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
def films(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    for name, ((width, height), (x0, y0, x1, y1)) in QUADRANTS.items():
        pixels = np.full((height, width), 25, dtype=np.uint8)
        pixels[y0:y1, x0:x1] = 230
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / name)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    return folder


@pytest.fixture
def run(films: Path) -> Run:
    """Run a writer over the images, normalized to mean 0.5 and deviation 0.5, and check what it writes."""

    def answer(network: nn.Module, writer: Any, *, color: str = "gray", source: Path = films) -> list[dict[str, Any]]:
        transform = Compose(
            [
                LoadRadiographd("image", color=color),
                PreviewRadiographd("image", size=256),
                FitRadiographd("image", size=SIDE),
                RepeatChanneld("image", repeats=3 if color == "gray" else 1),
                NormalizeIntensityd("image", subtrahend=torch.tensor(0.5), divisor=torch.tensor(0.5)),
            ]
        )
        written: list[dict[str, Any]] = []
        writer.files.on_image = written.append
        faults = writer.files.folder / "faults.jsonl"
        loader = ImageBatches(Dataset(gather_images([source]), transform), faults=faults, batch_size=2)
        SupervisedEvaluator(
            device=torch.device("cpu"),
            val_data_loader=loader,
            network=network,
            val_handlers=[writer],
            decollate=False,
        ).run()
        for record in written:
            Draft202012Validator(answer_schema()).validate(record)
            stem = writer.files.stem(record["image"])
            assert json.loads(stem.with_name(f"{stem.name}.json").read_text(encoding="utf-8")) == record
        assert not list(writer.files.folder.rglob(".*partial"))
        return written

    return answer


@pytest.fixture
def quadrants() -> dict[str, tuple[tuple[int, int], tuple[int, int, int, int]]]:
    return QUADRANTS


@pytest.fixture
def points() -> Callable[..., dict[str, Any]]:
    """Operating points as a training run writes them."""

    def make(task: str, thresholds: dict[str, Any], temperature: dict[str, Any]) -> dict[str, Any]:
        common = {"task": task, "classes": list(thresholds), "section": "validation", "rule": "youden", "samples": 9}
        return {**common, "thresholds": thresholds, "temperature": temperature}

    return make


@pytest.fixture
def looks_at_the_brightest() -> Callable[[], ECAMP]:
    return LooksAtTheBrightest


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
