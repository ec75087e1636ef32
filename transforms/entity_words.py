# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The words that count as entities in ECAMP's masking, and how to name others."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

ECAMP_ENTITIES = (
    "abnormality", "abscess", "aerate", "aorta", "atelectasis", "bronchiectasis", "calcification",
    "cardiomediastinal", "cardiomegaly", "catheter", "chf", "collapse", "congestion", "consolidation", "contour",
    "COPD", "deformity", "dilation", "distention", "edema", "effusion", "embolism", "emphysema", "engorgement",
    "fibrosis", "fracture", "granuloma", "hernia", "hilar", "hyperinflate", "hemidiaphragm", "infiltrate", "mass",
    "nodule", "obscure", "opacity", "perihilar", "pneumonia", "pneumothorax", "sarcoidosis", "silhouette",
    "thickening", "tuberculosis", "vasculature",
)  # fmt: skip
"""The 44 words of the official dataset class, in its spelling (specification, section 2.2, quirk Q5)."""


def entity_forms(entities: Sequence[str] | str | os.PathLike[str]) -> tuple[str, ...]:
    """Return the surface forms (words and phrases as they stand in a report) of an entity list.

    Args:
        entities: the forms themselves, or the path of a JSON file
            ``{"entities": [{"name": str, "forms": [str, ...]}, ...]}``, the lexicon format of the distiller.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if there is no form at all, or a file has another format.
    """
    if isinstance(entities, (str, os.PathLike)):
        path = Path(entities)
        if not path.is_file():
            raise FileNotFoundError(f"no entity list at {path}: give the path of a JSON file or a list of words")
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))["entities"]
            entities = [form for row in rows for form in row["forms"]]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f'{path}: expected {{"entities": [{{"name": ..., "forms": [...]}}]}}') from error
    forms = tuple(dict.fromkeys(entities))
    if not forms:
        raise ValueError("the entity list is empty: leave `entities` out for ECAMP's 44 words")
    if wrong := [form for form in forms if not isinstance(form, str) or not form.strip()]:
        raise ValueError(f"entities must be words or phrases, not {wrong[0]!r}")
    return forms
