# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""One short sentence for each entity, tokenized, to ask a network where it looks."""

from __future__ import annotations

import os
from collections.abc import Sequence

from radbundles.transforms import ECAMP_ENTITIES, load_report_tokenizer
from radbundles.transforms.report_tokenizer import CLS

Prompt = tuple[list[int], list[bool]]


def entity_prompts(
    tokenizer_file: str | os.PathLike[str],
    entities: Sequence[str] = ECAMP_ENTITIES,
    *,
    before: str = "there is",
    after: str = ".",
) -> list[Prompt]:
    """Tokenize "there is <entity>." for each entity, the sentence that distilled reports have for what is present.

    Args:
        tokenizer_file: ``tokenizer.json`` that the network was trained with.
        entities: words or phrases.
        before: words before the entity.
        after: words after it.

    Returns:
        For each entity its token ids, [CLS] first, and whether each of them belongs to the entity.

    Raises:
        ValueError: if an entity is empty.
    """
    tokenizer = load_report_tokenizer(tokenizer_file)

    def pieces(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False).ids)

    prompts: list[Prompt] = []
    for entity in entities:
        parts = [[CLS, *pieces(before)], pieces(entity), pieces(after)]
        if not parts[1]:
            raise ValueError(f"the entity {entity!r} has no word")
        ids = [number for part in parts for number in part]
        flags = [inside == 1 for inside, part in enumerate(parts) for _ in part]
        prompts.append((ids, flags))
    return prompts
