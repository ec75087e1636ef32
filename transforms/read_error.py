# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The one error of everything that reads an image file."""

from __future__ import annotations

__all__ = ["RadiographReadError"]


class RadiographReadError(ValueError):
    """An image file cannot be read as a radiograph.

    The message names the file, the reason and how to mend it, and never a patient's name, id or report. It takes the
    message alone, so that the error survives the way back from a data loader's worker process.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
