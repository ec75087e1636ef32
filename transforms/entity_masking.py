# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""ECAMP's masking of a report, by the rule that the paper describes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from tokenizers import Tokenizer

from radbundles.transforms.find_phrases import PhraseFinder, piece_table
from radbundles.transforms.rebalance import NEGATION_TEMPLATES, rebalanced_weights
from radbundles.transforms.report_tokenizer import CONTINUATION

ENTITY_RATE = 0.75
CONTEXT_RATE = 0.70
"""For the other words of a report that names an entity."""
PLAIN_RATE = 0.75
"""For the words of a report that names none."""
DESCRIPTOR_REACH = 2

_CLS, _OTHER, _ENTITY, _DESCRIPTOR = range(4)  # kinds of words, each with its masking rate
_RATES = np.array([0.0, CONTEXT_RATE, ENTITY_RATE, 1.0])
_RATES_WITHOUT_ENTITY = np.array([0.0, PLAIN_RATE, ENTITY_RATE, 1.0])


class ReportMask(NamedTuple):
    """What a masking rule decides for the ids of one report; arrays of their length L."""

    masked: np.ndarray
    """bool: hidden behind [MASK]."""
    entity: np.ndarray
    """bool: token of an entity."""
    weights: np.ndarray
    """float32: share of the token in the masked language loss."""


class EntityMasking:
    """Hide words of a report: descriptors always, entities with 0.75, the other words with 0.70 (0.75 if no entity).

    Source: ECAMP, entity-aware masking and re-balanced factor. A descriptor is
    one of the two words left of an entity in the same sentence. [CLS] and padding are never hidden; a word is hidden
    whole or not at all.

    What is mended against the official code (:class:`OfficialMasking` keeps it):

    - quirk Q5: an entity may be a phrase and may have several pieces; case does not matter;
    - quirk Q6: descriptors are hidden with certainty, unless they are entities themselves or hold a full stop;
    - quirk Q7: the look to the left counts words, not pieces, and ends at a full stop, also in runs such as ")."; an
      entity left of another entity is no descriptor;
    - quirk Q8: an entity is hidden as a whole, by one draw;
    - quirk Q9: the last position of a full-length report is treated like any other;
    - section 3.2: templates are found up to the end of the report and only as whole words, and weights sum to the
      number of real tokens: padding gets 0.

    Kept as released: words of a negation template may be descriptors ("is no" before an entity), which the official
    weight formula provides for; descriptors gain weight only where a report has a template.

    Args:
        tokenizer: from :func:`~radbundles.transforms.load_report_tokenizer`.
        entities: surface forms, words or phrases.
    """

    def __init__(self, tokenizer: Tokenizer, entities: Sequence[str]) -> None:
        self.find_entities = PhraseFinder(tokenizer, entities)
        self.find_templates = PhraseFinder(tokenizer, NEGATION_TEMPLATES)
        self.is_continuation = piece_table(tokenizer, CONTINUATION, prefix=True)
        self.has_stop = piece_table(tokenizer, ".")

    def __call__(self, ids: np.ndarray, random_state: np.random.RandomState) -> ReportMask:
        """Decide for ``ids``, int64 ``[L]``: [CLS], pieces, padding. Draws one number for each word, [CLS] included."""
        length, ids = len(ids), ids[: np.count_nonzero(ids)]
        begins = ~self.is_continuation.take(ids)
        first_piece = begins.nonzero()[0]  # [W]
        word_of = begins.cumsum() - 1  # [L] -> word, 0..W-1
        draws = random_state.random_sample(len(first_piece))  # [W]
        kind = np.full(len(first_piece), _OTHER)  # [W]
        kind[0] = _CLS

        spans = [(int(word_of[start]), int(word_of[stop - 1])) for start, stop in self.find_entities(ids)]
        if spans:
            stops = np.logical_or.reduceat(self.has_stop.take(ids), first_piece)  # [W]
            for first, _ in spans:
                for word in range(first - 1, max(first - 1 - DESCRIPTOR_REACH, 0), -1):
                    if stops[word]:
                        break
                    kind[word] = _DESCRIPTOR
            for first, last in spans:  # after all descriptors: an entity left of another one stays an entity
                kind[first : last + 1] = _ENTITY
                draws[first : last + 1] = draws[first]

        rates = _RATES if spans else _RATES_WITHOUT_ENTITY
        masked = (draws < rates.take(kind)).take(word_of)  # [W] -> [L]
        kind = kind.take(word_of)  # [W] -> [L]
        template = np.zeros(len(ids), dtype=bool)
        for start, stop in self.find_templates(ids):
            template[start:stop] = True
        weights = rebalanced_weights(kind == _DESCRIPTOR, template)
        return ReportMask(*(_lengthen(values, length) for values in (masked, kind == _ENTITY, weights)))


def _lengthen(values: np.ndarray, length: int) -> np.ndarray:
    longer = np.zeros(length, dtype=values.dtype)
    longer[: len(values)] = values
    return longer
