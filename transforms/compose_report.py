# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The sections of a report as one running text."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform
from monai.utils import ensure_tuple

REPORT_SECTIONS = ("findings", "impression", "text")
"""What a model reads by default; indication, comparison and technique say little about the image."""


def end_sentence(text: str) -> str:
    """Return ``text`` with a full stop at its end unless it is empty or a sentence mark stands there."""
    return text if not text or text.endswith((".", "!", "?")) else f"{text}."


def compose_report(report: Mapping[str, str | None], sections: Sequence[str] | None = REPORT_SECTIONS) -> str:
    """Join the sections of a report into one text, white space collapsed, a full stop at the end of each section.

    The stop keeps the last word of a section from being read as part of the next sentence.

    Args:
        report: section name -> text; an empty or missing section is passed over.
        sections: names and order of the sections to take; ``None`` takes all in the report's own order.

    Returns:
        The text, "" if none of the sections says anything.
    """
    names = report if sections is None else sections
    return " ".join(end_sentence(text) for name in names if (text := " ".join((report.get(name) or "").split())))


class ComposeReportd(MapTransform):
    """Dictionary twin of :func:`compose_report`: report sections -> one string.

    Args:
        keys: items that hold a report, a dict of section name -> text.
        sections: names and order of the sections to take; ``None`` takes all in the report's own order.
        output_keys: where the texts go, one for each of ``keys``.
        allow_missing_keys: whether an item without a report is passed on as it is.

    Raises:
        ValueError: if a report says nothing in these sections; names the item's ``id`` and the sections it has.
    """

    def __init__(
        self,
        keys: KeysCollection = "report",
        *,
        sections: Sequence[str] | None = REPORT_SECTIONS,
        output_keys: KeysCollection = "text",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if isinstance(sections, str):
            raise ValueError(f"sections must be a list of names, not the text {sections!r}")
        self.sections = None if sections is None else tuple(sections)
        self.output_keys = ensure_tuple(output_keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Add the text of each report."""
        d = dict(data)
        for key, output_key in self.key_iterator(d, self.output_keys):
            text = compose_report(d[key], self.sections)
            if not text:
                wanted = "any section" if self.sections is None else f"the sections {', '.join(self.sections)}"
                raise ValueError(
                    f"item {d.get('id')!r}: the report has no text in {wanted} (it has {', '.join(d[key]) or 'none'}): "
                    "name its sections in `sections` or leave the item out of the datalist"
                )
            d[output_key] = text
        return d
