# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from radbundles.components.data.datalist import iter_datalist
from radbundles.components.inference import annotate_windows, report_attention_transform
from radbundles.networks import ECAMP

Make = Callable[[], ECAMP]


def write(path: Path, items: list[dict[str, Any]]) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps({**item, "split": "training"}) + "\n" for item in items))
    else:
        path.write_text(json.dumps({"name": "spots", "label_names": ["effusion"], "training": items}))
    return path


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
@pytest.mark.parametrize("batch_size", [1, 4, 16])
def test_every_item_gets_its_window_and_keeps_the_rest(
    tmp_path: Path,
    tokenizer_file: Path,
    items: list[dict[str, Any]],
    looks_at_the_brightest: Make,
    suffix: str,
    batch_size: int,
) -> None:
    source, output = write(tmp_path / f"data{suffix}", items), tmp_path / f"annotated{suffix}"
    network = looks_at_the_brightest().train()
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


def test_header_of_a_json_datalist_is_kept(
    tmp_path: Path, tokenizer_file: Path, items: list[dict[str, Any]], looks_at_the_brightest: Make
) -> None:
    source = write(tmp_path / "data.json", items)
    transform = report_attention_transform(tokenizer_file=tokenizer_file, max_length=64)
    annotate_windows(looks_at_the_brightest(), source, tmp_path / "out.json", transform=transform)
    document = json.loads((tmp_path / "out.json").read_text())
    assert document["name"] == "spots" and document["label_names"] == ["effusion"]


def test_faults_do_not_name_the_patient(
    tmp_path: Path, tokenizer_file: Path, items: list[dict[str, Any]], looks_at_the_brightest: Make
) -> None:
    source = write(tmp_path / "data.jsonl", items)
    transform = report_attention_transform(tokenizer_file=tokenizer_file, max_length=64)
    summary = annotate_windows(looks_at_the_brightest(), source, tmp_path / "out.jsonl", transform=transform)
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


def test_output_of_another_kind_is_refused(
    tmp_path: Path, items: list[dict[str, Any]], looks_at_the_brightest: Make
) -> None:
    source = write(tmp_path / "data.jsonl", items)
    with pytest.raises(ValueError, match="out.json must be of the same kind"):
        annotate_windows(looks_at_the_brightest(), source, tmp_path / "out.json", transform=dict)
