# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path


def test_made_radiographs_hold_what_every_bundle_needs(made: Path) -> None:
    datalist = json.loads((made / "data" / "datalist.json").read_text(encoding="utf-8"))
    for section in ("training", "validation", "test"):
        items = datalist[section]
        for name in ("calcified", "rotated"):
            assert {item["labels"][name] for item in items} == {0, 1}, "both outcomes in every section"
        assert all(
            {"left lung", "right lung", "heart"} <= item["masks"].keys() & item["boxes"].keys() for item in items
        )
        assert all(item["report"] for item in items) and any(item["phrases"] for item in items)
    assert {path.suffix for path in (made / "data" / "images").iterdir()} == {".dcm", ".png"}
    assert sorted(path.suffix for path in (made / "images").iterdir()) == [".dcm", ".png"]
    names = {path.name for path in (made / "data").iterdir()}
    assert {"distilled.jsonl", "sentences.jsonl", "tokenizer.json", "text_encoder"} <= names
