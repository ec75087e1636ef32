# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Judges ``large_files.yml``, which names what MONAI downloads into a bundle."""

from __future__ import annotations

import re
from typing import Any

from radbundles.components.audit.ledger import Ledger
from radbundles.components.audit.texts import path_fault

_HASHES = {"sha512": 128, "sha256": 64, "sha1": 40, "md5": 32}
_WEAK = ("md5", "sha1")


def audit_large_files(content: dict[str, Any], name: str, ledger: Ledger) -> None:
    """Judge each download: where to, where from, and whether its checksum is known."""
    files = content.get("large_files")
    if not isinstance(files, list):
        ledger.refuse(name, "large_files", None, "is no list of downloads", "list path, url, hash_val and hash_type")
        return
    for place, file in enumerate(files):
        key = f"large_files#{place}"
        if not isinstance(file, dict):
            ledger.refuse(name, key, str(file), "is no download", "give path, url, hash_val and hash_type")
            continue
        path, url = str(file.get("path", "")), str(file.get("url", ""))
        ledger.path(url, f"{name}: {key}")
        fault = path_fault(path) if path else "is missing"
        if fault:
            ledger.refuse(name, f"{key}#path", path, fault, "name a file of the bundle, such as models/model.pt")
        if not re.fullmatch(r"https://[^\s@]+", url):
            ledger.refuse(name, f"{key}#url", url, "is no https address", "name where it is over https")
        kind, checksum = str(file.get("hash_type", "")).lower(), str(file.get("hash_val", ""))
        if kind not in _HASHES or not re.fullmatch(rf"[0-9a-fA-F]{{{_HASHES.get(kind, 0)}}}", checksum):
            message = "has no checksum: what comes could be anything"
            ledger.refuse(name, f"{key}#hash_val", checksum, message, "give hash_type sha256 and its hash_val")
        elif kind in _WEAK:
            message = "can be forged: another file can be made to fit"
            ledger.note(name, f"{key}#hash_type", kind, message, "give the sha256")
