# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Find the JSON object in what a language model said."""

from __future__ import annotations

import json
import re
from typing import Any

# A reply of a thousand tokens has some four thousand characters; what is far longer is a model running in circles.
_CHARACTERS = 200_000
_STARTS = 32  # braces to try before giving up: prose before the object may hold some
_BRACE = re.compile(r"\{")
_DECODER = json.JSONDecoder()


def find_object(text: str, key: str) -> tuple[dict[str, Any] | None, bool]:
    """The first JSON object of a text that has a key.

    Thoughts (``<think>...</think>``), code fences and prose around the object are passed over.

    Args:
        text: the reply.
        key: key of the object wanted. An object inside of a broken one is thus not taken for the whole.

    Returns:
        The object, or None; and whether there was JSON at least, which tells an answer of the wrong shape from one that
        is no JSON or was cut off.
    """
    if len(text) > _CHARACTERS:
        return None, False
    text = text.rpartition("</think>")[2].partition("<think>")[0].lstrip()
    is_json = text.startswith("[") and _decode(text, 0) is not None
    for number, brace in enumerate(_BRACE.finditer(text)):
        if number == _STARTS:
            break
        value = _decode(text, brace.start())
        if isinstance(value, dict) and key in value:
            return value, True
        is_json |= number == 0 and value is not None
    return None, is_json


def _decode(text: str, start: int) -> Any:
    try:
        return _DECODER.raw_decode(text, start)[0]
    except (ValueError, RecursionError):  # the first also of numbers with thousands of digits
        return None
