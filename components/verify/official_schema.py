# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""MONAI's own schema of the metadata, fetched from the address that the metadata names."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

from radbundles.components.verify.finding import Finding

_FILE = "configs/metadata.json"
_MOST_BYTES = 1 << 20
_SECONDS = 10


def check_official_schema(folder: Path) -> list[Finding]:
    """Hold a bundle's metadata against the schema that its ``schema`` names, as the model zoo does.

    Ours is stricter and needs no network; this one tells whether the address still leads somewhere.

    Args:
        folder: root of the bundle.

    Returns:
        Findings of check V2.

    Raises:
        ConnectionError: the schema cannot be had; what was asked is in the message.
    """
    from jsonschema.validators import validator_for

    metadata = json.loads((folder / _FILE).read_text(encoding="utf-8"))
    schema = _fetch(str(metadata.get("schema", "")))
    found = []
    for error in validator_for(schema)(schema).iter_errors(metadata):
        key = "#".join(str(part) for part in error.absolute_path) or None
        found.append(Finding("V2", _FILE, key, None, f"MONAI's schema: {error.message}", "mend the value"))
    return found


def _fetch(address: str) -> dict[str, Any]:
    if not address.startswith(("https://", "http://127.0.0.1:")):
        raise ConnectionError(f"{_FILE}: schema {address!r} is no https address")
    try:
        with urllib.request.urlopen(address, timeout=_SECONDS) as answer:
            content = json.loads(answer.read(_MOST_BYTES))
    except (OSError, ValueError) as error:
        raise ConnectionError(f"{_FILE}: no schema at {address}: {error}") from error
    if not isinstance(content, dict):
        raise ConnectionError(f"{_FILE}: what is at {address} is no schema")
    return content
