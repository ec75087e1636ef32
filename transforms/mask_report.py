# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Token ids of a report -> the masked-language half of an ECAMP pre-training sample."""

from __future__ import annotations

import os
import random
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Randomizable, Transform

from radbundles.transforms.entity_masking import EntityMasking, ReportMask
from radbundles.transforms.entity_words import ECAMP_ENTITIES, entity_forms
from radbundles.transforms.insert_distilled import MODES
from radbundles.transforms.official_masking import OfficialMasking
from radbundles.transforms.report_tokenizer import CLS, MASK, PAD, load_report_tokenizer


class MaskReport(Randomizable, Transform):
    """Hide words of a report behind [MASK] and weigh its tokens, as ECAMP's pre-training does.

    Source: ECAMP, entity-aware masking and re-balanced factor. The rules are
    :class:`EntityMasking` (``mode="paper"``) and :class:`OfficialMasking` (``mode="official"``), where the deviations
    stand by quirk number.

    Args:
        tokenizer_file: the ``tokenizer.json`` that made the ids.
        mode: "paper" or "official".
        entities: surface forms, or the path of a lexicon, see :func:`entity_forms`; by default ECAMP's 44 words.

    Raises:
        ValueError: if ``mode`` is unknown, the tokenizer cannot spell an entity or template, or ids are not those of
            :class:`TokenizeReport`.
    """

    def __init__(
        self,
        *,
        tokenizer_file: str | os.PathLike[str],
        mode: str = "paper",
        entities: Sequence[str] | str | os.PathLike[str] = ECAMP_ENTITIES,
    ) -> None:
        if mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
        tokenizer = load_report_tokenizer(tokenizer_file)
        self.rule: EntityMasking | OfficialMasking
        self.rule = (EntityMasking if mode == "paper" else OfficialMasking)(tokenizer, entity_forms(entities))

    def mask(self, ids: np.ndarray) -> ReportMask:
        """Draw the mask of one report."""
        if isinstance(self.rule, EntityMasking):
            return self.rule(ids, self.R)
        return self.rule(ids, random.Random(int(self.R.randint(2**31))))

    def __call__(self, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the sample of the ids ``labels``, int64 ``[L]``, which begin with [CLS] and may end with padding.

        Keys, all ``[L]``: ``labels``, ``input_ids`` (int64, masked), ``attention_mask`` (int64, 0 at padding),
        ``token_weights`` (float32), ``masked`` (bool, hidden positions), ``entity`` (bool).
        """
        ids = labels.numpy()
        if len(ids) == 0 or ids[0] != CLS:
            raise ValueError("the ids of a report must begin with [CLS]: make them with TokenizeReport")
        masked, entity, weights = self.mask(ids)
        return {
            "labels": labels,
            "input_ids": torch.from_numpy(np.where(masked, MASK, ids)),
            "attention_mask": torch.from_numpy((ids != PAD).astype(np.int64)),
            "token_weights": torch.from_numpy(weights),
            "masked": torch.from_numpy(masked),
            "entity": torch.from_numpy(entity),
        }


class MaskReportd(Randomizable, MapTransform):
    """Dictionary twin of :class:`MaskReport`: adds its keys to the item.

    Args:
        keys: the one item that holds the un-masked ids.
        tokenizer_file: the ``tokenizer.json`` that made the ids.
        mode: "paper" or "official".
        entities: surface forms, or the path of a lexicon, see :func:`entity_forms`; by default ECAMP's 44 words.
        allow_missing_keys: whether an item without ids is passed on as it is.

    Raises:
        ValueError: as :class:`MaskReport`, or if there is more than one key.
    """

    def __init__(
        self,
        keys: KeysCollection = "labels",
        *,
        tokenizer_file: str | os.PathLike[str],
        mode: str = "paper",
        entities: Sequence[str] | str | os.PathLike[str] = ECAMP_ENTITIES,
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        if len(self.keys) != 1:
            raise ValueError(f"a sample has one report, so keys must name one item, not {self.keys}")
        self.transform = MaskReport(tokenizer_file=tokenizer_file, mode=mode, entities=entities)

    def set_random_state(self, seed: int | None = None, state: Any = None) -> MaskReportd:
        """Set the source of the draws."""
        super().set_random_state(seed, state)
        self.transform.set_random_state(state=self.R)
        return self

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the item with the keys of the masked report."""
        d = dict(data)
        for key in self.key_iterator(d):
            d.update(self.transform(d[key]))
        return d
