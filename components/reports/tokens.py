# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Tokens of a masked report with what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Token", "mark_tokens"]


@dataclass(frozen=True, kw_only=True)
class Token:
    """One token as it is shown.

    Args:
        text: the true WordPiece token, ``##`` before a continuation.
        predicted: token that the model put in its place; None if the true one was visible to it.
        entity: whether it belongs to an entity.
    """

    text: str
    predicted: str | None = None
    entity: bool = False

    @property
    def state(self) -> str:
        """``visible``, ``right`` or ``wrong``."""
        if self.predicted is None:
            return "visible"
        return "right" if self.predicted == self.text else "wrong"

    @property
    def joined(self) -> bool:
        """Whether it follows the token before without a blank."""
        return self.text.startswith("##") or self.text in tuple(".,;:!?)%")


def mark_tokens(
    pieces: Sequence[str],
    masked: Sequence[bool],
    predicted: Sequence[str],
    entity: Sequence[bool],
    *,
    special: Sequence[str] = ("[PAD]", "[CLS]", "[SEP]"),
) -> list[Token]:
    """Put together the tokens of one report, without padding and other special tokens.

    Args:
        pieces: true WordPiece tokens, ``##`` before a continuation, length L.
        masked: which of them were masked, length L.
        predicted: predicted pieces at the masked positions, in order.
        entity: which of them belong to an entity, length L.
        special: tokens that are not shown.

    Raises:
        ValueError: the lengths do not fit.
    """
    count = sum(map(bool, masked))
    if not len(pieces) == len(masked) == len(entity) or count != len(predicted):
        raise ValueError(
            f"{len(pieces)} pieces, {len(masked)} mask flags ({count} set), {len(entity)} entity flags and"
            f" {len(predicted)} predictions do not belong together"
        )
    answers = iter(predicted)
    tokens = (
        Token(text=piece, predicted=next(answers) if hidden else None, entity=bool(of_entity))
        for piece, hidden, of_entity in zip(pieces, masked, entity, strict=True)
    )
    return [token for token in tokens if token.text not in special]
