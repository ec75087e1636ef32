# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Sections of a plain-text radiology report."""

from __future__ import annotations

import re

# A heading is in capitals, stands at the start of a line and ends with a colon.
_HEADING = re.compile(r"^[ \t]*([A-Z][A-Z0-9 ,/()&.'-]{2,70}?)[ \t]*:", re.MULTILINE)
_BANNER = re.compile(r"^[ \t]*(?:FINAL|PRELIMINARY) (?:REPORT|ADDENDUM)[ \t]*$", re.MULTILINE)
_SYNONYMS = {
    "conclusion": "impression",
    "conclusions": "impression",
    "impressions": "impression",
    "finding": "findings",
    "findings and impression": "findings",
    "findings/impression": "findings",
    "history": "indication",
    "clinical history": "indication",
    "clinical information": "indication",
    "clinical indication": "indication",
    "indications": "indication",
    "reason for exam": "indication",
    "reason for examination": "indication",
    "reason for the exam": "indication",
    "comparisons": "comparison",
    "comparison study": "comparison",
    "exam": "examination",
    "study": "examination",
    "type of examination": "examination",
    "recommendations": "recommendation",
}
# Many reports head their findings with the name of the examination: "PA AND LATERAL CHEST RADIOGRAPHS:".
_EXAMINATION = re.compile(r"\b(?:chest|views?|radiographs?|portable|frontal|pa|ap|lateral)\b")


def parse_report(text: str) -> dict[str, str]:
    """Split a report into sections.

    Headings of one meaning get one name (HISTORY and REASON FOR EXAM are ``indication``, CONCLUSION is
    ``impression``); a heading that names the examination itself opens the findings. Text under no heading becomes
    ``text``. Line breaks of the layout are taken out, words and blanks of de-identification stay.

    Args:
        text: the report, as in the ``.txt`` files of MIMIC-CXR.

    Returns:
        Text by section name in lower case; sections without text are left out.
    """
    text = _BANNER.sub("", text.replace("\r\n", "\n"))
    sections: dict[str, list[str]] = {}
    name, start = "text", 0
    for heading in _HEADING.finditer(text):
        sections.setdefault(name, []).append(text[start : heading.start()])
        name, start = _section_name(heading[1]), heading.end()
    sections.setdefault(name, []).append(text[start:])
    joined = {name: " ".join(" ".join(parts).split()) for name, parts in sections.items()}
    return {name: part for name, part in joined.items() if part}


def _section_name(heading: str) -> str:
    name = " ".join(heading.lower().split())
    if name in _SYNONYMS:
        return _SYNONYMS[name]
    return "findings" if _EXAMINATION.search(name) and not name.startswith(("exam", "technique")) else name
