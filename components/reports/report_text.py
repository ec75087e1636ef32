# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Words from a report, which a page can show or replace by their lengths."""

from __future__ import annotations

import re

__all__ = ["ReportText"]


class ReportText(str):
    """A string that came out of a report, hidden by a page with ``show_text=False`` wherever it stands.

    The blocks of a page treat report text so by themselves; wrap it where it goes into a place that does not ask for it
    (a title, a table cell, a caption). Joining it with a plain string gives a plain string: wrap the result.
    """

    __slots__ = ()

    def hidden(self) -> str:
        """Replace every letter and digit by a middle dot; blanks and punctuation stay, so that lengths do."""
        return re.sub(r"\w", "·", self)
