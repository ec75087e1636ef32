# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Networks and their building blocks."""

from __future__ import annotations

if __name__ == "networks":
    raise ImportError("import radbundles.networks, not networks: the folder is part of the package radbundles")
