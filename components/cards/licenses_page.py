# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The page ``docs/licenses.md``."""

from __future__ import annotations


def licenses_page() -> str:
    """Write the page."""
    return "# Licenses of data\n"
