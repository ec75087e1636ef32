# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The hand-written part of a card."""

from __future__ import annotations

from pathlib import Path

import pytest

from radbundles.components.cards.sections import SECTIONS, read_sections


def written(folder: Path, text: str) -> Path:
    (folder / "docs").mkdir()
    (folder / "docs" / "sections.md").write_text(text, encoding="utf-8")
    return folder


def test_headings_part_the_text_but_not_inside_code(tmp_path: Path) -> None:
    text = "## Data\n\n```bash\n## no heading\nls\n```\n\n### below\n\n## Limitations\n\nMany.\n"
    found = read_sections(written(tmp_path, text))
    assert found == {"Data": "```bash\n## no heading\nls\n```\n\n### below", "Limitations": "Many."}


def test_no_file_is_no_section(tmp_path: Path) -> None:
    assert read_sections(tmp_path) == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("## Dta\n\nx\n", "line 1: a card has no section 'Dta': did you mean 'Data'"),
        ("## Data\n\nx\n\n## Zebra\n", "line 5: a card has no section 'Zebra': it may be one of Model Description"),
        ("\nhello\n\n## Data\n", "line 2: text before the first heading"),
        ("## Data\n\nx\n\n## Data\n", "line 5: the section 'Data' is there already"),
    ],
)
def test_faults_are_named_with_line_and_mend(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=said):
        read_sections(written(tmp_path, text))


def test_every_bundle_has_what_only_people_know(repository: Path) -> None:
    for folder in sorted(path.parents[1] for path in (repository / "bundles").glob("*/configs/metadata.json")):
        assert set(SECTIONS) - set(read_sections(folder)) <= {
            "Encoder Weights",
            "Intended Use",
            "Training Configuration",
        }
