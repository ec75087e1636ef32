# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Parts turned into workflows: data, distillation, engines, metrics, inference, reports, hub."""

from __future__ import annotations

if __name__ == "components":
    raise ImportError("import radbundles.components, not components: the folder is part of the package radbundles")
