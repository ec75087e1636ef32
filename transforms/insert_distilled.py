# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Put the distilled sentences of a report into its text, at a random sentence boundary."""

from __future__ import annotations

import random
import re
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.transforms import MapTransform, Randomizable

from radbundles.transforms.compose_report import end_sentence

INSERT_PROB = 0.8
MODES = ("paper", "official")

# A stop ends a sentence when white space, a capital ("clear.Heart") or the end follows. After a lone character it
# is a list number, an initial or "e.g.", which may not be torn from what it belongs to.
_SENTENCE_END = re.compile(r"(?<!\b\w)[.!?]+(?=\s|[A-Z]|$)")


def sentence_boundaries(text: str) -> list[int]:
    """Return the offsets in ``text`` where a sentence may be put in: 0, after each sentence, and the end.

    The stop of a decimal ("3.5 cm"), of a list number ("1. No change") or of an initial is no boundary.
    """
    inside = (match.end() for match in _SENTENCE_END.finditer(text))
    return [0, *(offset for offset in inside if offset < len(text)), len(text)]


def insert_distilled(text: str, distilled: str, random_state: np.random.RandomState, prob: float = INSERT_PROB) -> str:
    """Put ``distilled`` at one of the sentence boundaries of ``text``, all equally likely.

    Args:
        text: a report.
        distilled: its distilled sentences; blank means that there is nothing to add.
        random_state: source of two draws, whether or not anything is put in.
        prob: probability that the sentences are put in.
    """
    whether, where = random_state.random_sample(2).tolist()
    distilled = distilled.strip()
    if not distilled or whether >= prob:
        return text
    boundaries = sentence_boundaries(text)
    place = boundaries[int(where * len(boundaries))]
    parts = (text[:place].strip(), distilled, text[place:].strip())
    return " ".join(end_sentence(part) for part in parts if part)


def insert_distilled_official(text: str, distilled: str, generator: random.Random, prob: float = INSERT_PROB) -> str:
    """Put ``distilled`` into ``text`` as the official dataset class does.

    The report is cut at every ".", so that a decimal may be torn apart; each piece gets its "." back, and ".." is
    replaced by "." once, whether or not anything was put in.

    Args:
        text: a report.
        distilled: its distilled sentences, put in as they are, without a space.
        generator: source of the draws: one ``random``, then one ``randint``, both ends included, if text goes in.
        prob: probability that the sentences are put in.
    """
    if generator.random() < prob:
        pieces = text.split(".")
        place = generator.randint(0, len(pieces))
        sentences = [f"{piece}." for piece in pieces]
        text = "".join([*sentences[:place], distilled, *sentences[place:]])
    return text.replace("..", ".")


class InsertDistilledd(Randomizable, MapTransform):
    """Put an item's distilled sentences into its text, as ECAMP does in four of five samples.

    Source: ECAMP, entity-centered context distillation; official pre-training dataset class. The default keeps whole
    sentences and decimals together; ``mode="official"`` cuts at every
    full stop, see :func:`insert_distilled_official`. A missing cell crashed the official code (section 1.1): ``None``
    and NaN count as "nothing to add" here.

    Args:
        keys: the text, a str.
        distilled_key: the distilled sentences, a str, ``None`` or NaN.
        prob: probability that the sentences are put in.
        mode: "paper" or "official".
        allow_missing_keys: whether an item without text is passed on as it is.

    Raises:
        ValueError: if ``mode`` or ``prob`` is out of range.
        KeyError: if an item has no ``distilled_key``; names the item's ``id``.
    """

    def __init__(
        self,
        keys: KeysCollection = "text",
        *,
        distilled_key: str = "distilled",
        prob: float = INSERT_PROB,
        mode: str = "paper",
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        if mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
        if not 0.0 <= prob <= 1.0:
            raise ValueError(f"prob must lie in 0..1, not {prob}")
        self.distilled_key = distilled_key
        self.prob = prob
        self.mode = mode

    def insert(self, text: str, distilled: str) -> str:
        """Put the sentences into one text."""
        if self.mode == "paper":
            return insert_distilled(text, distilled, self.R, self.prob)
        return insert_distilled_official(text, distilled, random.Random(int(self.R.randint(2**31))), self.prob)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the item with the sentences put in."""
        d = dict(data)
        for key in self.key_iterator(d):
            if self.distilled_key not in d:
                raise KeyError(
                    f"item {d.get('id')!r} has no {self.distilled_key!r}: join the file that `radbundles distill` "
                    "wrote to the datalist, or leave InsertDistilledd out"
                )
            distilled = d[self.distilled_key]
            d[key] = self.insert(d[key], distilled if isinstance(distilled, str) else "")
        return d
