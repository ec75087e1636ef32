# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Cards of bundles, and the terms of the data behind them; imports neither torch nor MONAI."""

from __future__ import annotations

from radbundles.components.cards.card import card_text
from radbundles.components.cards.data_license import data_license
from radbundles.components.cards.data_sets import DataSet, closed_data_sets, data_sets_of, read_data_sets
from radbundles.components.cards.front_matter import front_matter
from radbundles.components.cards.licenses_page import licenses_page
from radbundles.components.cards.stale import stale_cards, write_cards

__all__ = [
    "DataSet",
    "card_text",
    "closed_data_sets",
    "data_license",
    "data_sets_of",
    "front_matter",
    "licenses_page",
    "read_data_sets",
    "stale_cards",
    "write_cards",
]
