# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What tests of layouts share: reading with the contract checked, and small files of a published form."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from radbundles.components.data.fault import Fault
from radbundles.components.data.layouts import LAYOUTS
from radbundles.components.data.made_pictures import place_pictures
from radbundles.components.data.schema import item_faults

Read = Callable[..., tuple[dict[str, dict[str, Any]], list[Fault]]]


@pytest.fixture
def read() -> Read:
    """Items by id, each held against the contract, and faults; ``made`` has the pictures to be written."""

    def run(layout: str, source: Path, **options: Any) -> tuple[dict[str, dict[str, Any]], list[Fault]]:
        items: dict[str, dict[str, Any]] = {}
        faults = []
        for row, found in LAYOUTS[layout].read(source, **options):
            assert row >= 1
            if isinstance(found, Fault):
                assert found.row == row
                faults.append(found)
                continue
            made = {field: make for field, make in place_pictures(found, layout).values()}
            assert item_faults({key: value for key, value in found.items() if key != "split"}) == []
            assert found["id"] not in items
            items[found["id"]] = found | {"made": made}
        return items, faults

    return run


@pytest.fixture
def write() -> Callable[[Path, str], Path]:
    """Write a text file and its folders."""

    def run(path: Path, text: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return run


@pytest.fixture
def picture() -> Callable[..., Path]:
    """Write a picture of given pixels, by default 4 x 4 black ones."""

    def run(path: Path, pixels: Any = None) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((4, 4), np.uint8) if pixels is None else np.asarray(pixels)).save(path)
        return path

    return run
