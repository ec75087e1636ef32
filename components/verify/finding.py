# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""One thing that is wrong with a bundle."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a bundle.

    Args:
        check: name of the check that found it, ``V1`` to ``V8``.
        file: where it is, relative to the bundle.
        key: config id, or None where the whole file is meant.
        value: what stands there, or None.
        message: what is wrong.
        mend: what to do about it.
    """

    check: str
    file: str
    key: str | None
    value: str | None
    message: str
    mend: str

    def __str__(self) -> str:
        place = self.file if self.key is None else f"{self.file}: {self.key}"
        value = "" if self.value is None else f" ({self.value})"
        return f"{self.check} {place}{value}: {self.message}; {self.mend}"
