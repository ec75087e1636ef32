# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""RadBundles: MONAI bundles for medical vision-language imaging. Research software, not a medical device."""

from __future__ import annotations

__version__ = "0.1.0"
