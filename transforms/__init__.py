# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""MONAI transforms for radiographs and their reports."""

from __future__ import annotations

if __name__ == "transforms":
    raise ImportError("import radbundles.transforms, not transforms: the folder is part of the package radbundles")
