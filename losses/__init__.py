# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Losses, each alone and reusable."""

from __future__ import annotations

if __name__ == "losses":
    raise ImportError("import radbundles.losses, not losses: the folder is part of the package radbundles")
