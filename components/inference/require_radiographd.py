# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Leave out images that no answer should be given about, and take note of what makes an answer doubtful."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform

from radbundles.components.inference.radiograph_check import require_radiograph


class RequireRadiographd(MapTransform):
    """Refuse what :func:`require_radiograph` refuses, and keep its warnings; goes before any resizing.

    Args:
        keys: keys of images [C, H, W] in [0, 1].
        warnings_key: gets the reasons that speak against an answer without forbidding it, list of str.
    """

    def __init__(self, keys: KeysCollection, *, warnings_key: str = "warnings") -> None:
        super().__init__(keys)
        self.warnings_key = warnings_key

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Add the warnings.

        Raises:
            RadiographRefused: naming the file and each reason.
        """
        reasons = [concern.reason for key in self.keys for concern in require_radiograph(data[key])]
        return {**data, self.warnings_key: reasons}
