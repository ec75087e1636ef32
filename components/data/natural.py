# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The order in which people put names with numbers."""

from __future__ import annotations

import re


def natural_key(name: str) -> list[tuple[int, str]]:
    """Sort key by which "grade 2" comes before "grade 10", whatever the capitals."""
    parts = re.split(r"([0-9]+)", name.casefold())
    return [(int(part), "") if place % 2 else (-1, part) for place, part in enumerate(parts)] + [(-1, name)]
