# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""``docs/data_license.txt`` of a bundle."""

from __future__ import annotations

from pathlib import Path


def data_license(folder: Path) -> str:
    """Write the terms of the data behind a bundle, which are its ``docs/data_license.txt``."""
    return (folder / "docs" / "data_license.txt").read_text(encoding="utf-8")
