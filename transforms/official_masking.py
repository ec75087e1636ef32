# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""ECAMP's masking of a report as the official code does it, for reproducing the published run."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from tokenizers import Tokenizer

from radbundles.transforms.entity_masking import (
    CONTEXT_RATE,
    DESCRIPTOR_REACH,
    ENTITY_RATE,
    PLAIN_RATE,
    ReportMask,
)
from radbundles.transforms.find_phrases import PhraseFinder, piece_table
from radbundles.transforms.rebalance import NEGATION_TEMPLATES, rebalanced_weights
from radbundles.transforms.report_tokenizer import CONTINUATION, PAD

TEMPLATE_MARGIN = 4
"""The official search looks at no template that begins in the last four positions, the short one included."""


class OfficialMasking:
    """The masking rule of the official dataset class with its quirks, equal to it draw for draw.

    Source: official dataset class. Kept quirks:

    - Q5: an entity is one whole piece, spelled exactly as in the list: "COPD", "aerate" and "hyperinflate" of the
      official list, plurals and phrases are never found;
    - Q6: descriptors are not masked with certainty (they are drawn at 0.70 like any word), they only gain weight;
    - Q7: the look to the left counts pieces, steps over a full stop into the sentence before, and takes entities;
    - Q8: the continuation pieces of an entity are not masked with it;
    - Q9: the first and the last position are neither masked nor entities;
    - templates that begin in the last four positions are missed; weights sum to the length, padding included.

    Args:
        tokenizer: from :func:`~radbundles.transforms.load_report_tokenizer`.
        entities: words; those that are no single piece of the vocabulary are never found.
    """

    def __init__(self, tokenizer: Tokenizer, entities: Sequence[str]) -> None:
        self.entities = {number for word in entities if (number := tokenizer.token_to_id(word)) is not None}
        self.stop = tokenizer.token_to_id(".")
        self.is_continuation = piece_table(tokenizer, CONTINUATION, prefix=True)
        self.find_templates = PhraseFinder(tokenizer, NEGATION_TEMPLATES, whole_words=False)

    def __call__(self, ids: np.ndarray, generator: random.Random) -> ReportMask:
        """Decide for ``ids``, int64 ``[L]``: [CLS], pieces, padding. Draws with ``generator.random`` only."""
        pieces = ids.tolist()
        continues = self.is_continuation[ids].tolist()
        end = min(pieces.index(PAD) if PAD in pieces else len(pieces), len(pieces) - 1)
        found = [i for i in range(1, end) if pieces[i] in self.entities]
        rate = CONTEXT_RATE if found else PLAIN_RATE

        masked, entity, descriptor, template = np.zeros((4, len(pieces)), dtype=bool)
        hidden = [False] * len(pieces)
        for i in range(1, end):
            # A draw is spent on an entity too, though only the second pass may hide it.
            hidden[i] = hidden[i - 1] if continues[i] else generator.random() < rate and pieces[i] not in self.entities
        for i in found:
            hidden[i] = generator.random() < ENTITY_RATE
        masked[:] = hidden
        entity[found] = True
        for i in found:
            descriptor[[j for j in range(max(i - DESCRIPTOR_REACH, 1), i) if pieces[j] != self.stop]] = True
        for start, stop in self.find_templates(ids):
            template[start:stop] = start < len(pieces) - TEMPLATE_MARGIN
        return ReportMask(masked, entity, rebalanced_weights(descriptor, template))
