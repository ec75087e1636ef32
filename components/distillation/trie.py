# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Find the longest of many phrases at each word of a text, in one pass."""

from __future__ import annotations

from typing import Any

from radbundles.components.distillation.sentences import words_of

Trie = dict[str, Any]  # word -> Trie; "" -> payload of the phrase that ends here
Found = tuple[int, int, Any]  # first word, word after the last, payload


def add_phrase(trie: Trie, phrase: str, payload: object) -> None:
    """Put a phrase into a trie.

    Raises:
        ValueError: if the phrase holds no word or is there already with another payload.
    """
    words = words_of(phrase)
    if not words:
        raise ValueError(f"phrase {phrase!r} holds no word")
    node = trie
    for word in words:
        node = node.setdefault(word, {})
    if node.get("", payload) != payload:  # spellings that differ in a hyphen only read alike
        raise ValueError(f"phrase {phrase!r} is listed twice, as {node['']} and as {payload}")
    node[""] = payload


def scan(words: list[str], start: int, stop: int, trie: Trie) -> list[Found]:
    """Longest phrases of a trie in ``words[start:stop]``, left to right, without overlap.

    Linear: no phrase is longer than the longest of the list, and each word opens at most one walk.
    """
    found: list[Found] = []
    position = start
    while position < stop:
        node = trie.get(words[position])
        if node is None:
            position += 1
            continue
        ahead, end, payload = position + 1, 0, None
        while True:
            if "" in node:
                end, payload = ahead, node[""]
            if ahead >= stop or (node := node.get(words[ahead])) is None:
                break
            ahead += 1
        if end:
            found.append((position, end, payload))
            position = end
        else:
            position += 1
    return found


def copy_trie(trie: Trie) -> Trie:
    """A copy that shares the payloads."""
    return {word: node if word == "" else copy_trie(node) for word, node in trie.items()}
