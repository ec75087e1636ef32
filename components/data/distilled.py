# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Distilled report text, joined to items by id."""

from __future__ import annotations

import os

from radbundles.components.data.joined import JoinedRecords


class DistilledText(JoinedRecords):
    """Text of a distilled file by item id, read when asked for.

    Args:
        path: JSON Lines file of ``radbundles distill``.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path, what="text", command="radbundles distill")

    def __getitem__(self, name: str) -> str:
        text = self._record(name).get("text")
        if not isinstance(text, str):
            raise self._fault(name, "text")
        return text
