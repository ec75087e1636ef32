# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The page ``docs/licenses.md``: every data set that the project knows, and what may be made public of it."""

from __future__ import annotations

from radbundles.components.cards.data_sets import read_data_sets
from radbundles.components.cards.data_tables import table

_HEAD = """# Licenses of data

What the project knows of the terms of data sets, and of weights that others have published. It is what the cards and
`docs/data_license.txt` of bundles say, and what `radbundles publish` goes by. It is no legal advice, terms change, and
those of the publisher count: read them where you get the data.

**yes**: the terms allow it, as the cell says. **no**: they forbid it. **ask**: its owners decide. **check**: the terms
do not settle it, or were not read for this page.

A bundle names its data sets by their id under `data_sets` of `configs/metadata.json`: `made_for`, `trained_on`, and
`starts_from` for weights that a training began with.
"""
_TAIL = (
    "Written by `radbundles card --licenses docs/licenses.md` from `components/cards/datasets.json`; edit that file.\n"
)


def licenses_page() -> str:
    """Write the page, from the table of data sets."""
    rows = [
        (
            f"[{one.name}]({one.url}), `{one.id}`: {one.what}",
            one.license,
            f"**{one.weights}**: {one.weights_why}",
            f"**{one.rows}**: {one.rows_why}",
        )
        for one in read_data_sets().values()
    ]
    known = table(("Data set", "License", "May weights trained on it be public?", "May rows be public?"), rows)
    cited = "\n".join(f"- {one.name}: {one.citation}" for one in read_data_sets().values())
    return f"{_HEAD}\n{known}\n\n## What to cite\n\n{cited}\n\n{_TAIL}"
