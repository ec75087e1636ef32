# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""V1: whether the LICENSE is one that the Hub knows by its text, word for word."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from radbundles.components.verify.finding import Finding

# SHA-256 of the texts with their blanks made one: Apache's as far as the terms go (its appendix is a form to fill in),
# MIT's behind title and owner.
_LICENSES = {
    "Apache-2.0": "09ae9bf1886f530f7338889ef805f37b288ec6adedd1e1e32058921acf05a782",
    "MIT": "fe2a9817987f862eaced948f0468c7f51d2fedfc48c5c505b246a49a3870e9a5",
}
_TITLE_AND_OWNER = re.compile(
    r"^((The )?MIT License )?(\(MIT\) )?(Copyright .{1,200}? )?(?=Permission is hereby granted)"
)


def check_license(folder: Path) -> Iterator[Finding]:
    """Yield whether the text is another than that of the Apache License 2.0 and of MIT."""
    path = folder / "LICENSE"
    if not path.is_file():
        return
    text = " ".join(path.read_text(encoding="utf-8", errors="replace").split())
    apache = text.partition("END OF TERMS AND CONDITIONS")[0]
    mit = _TITLE_AND_OWNER.sub("", text)
    if _sha256(apache) != _LICENSES["Apache-2.0"] and _sha256(mit) != _LICENSES["MIT"]:
        mend = "copy the text of the Apache License 2.0 or of MIT there, word for word"
        yield Finding("V1", "LICENSE", None, text[:40], "the text is neither Apache-2.0 nor MIT", mend)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.strip().encode()).hexdigest()
