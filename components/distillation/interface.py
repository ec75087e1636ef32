# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The seam behind which a distillation backend works: rules today, a language model tomorrow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Distiller(Protocol):
    """Turns a report into short sentences, one for each entity that the report speaks of.

    Source: ECAMP section 2 of the method (entity-centered context distillation). The authors asked a language model
    offline and published its output only, so the backend is free; the output format is not.

    Attributes:
        name: short name of the backend, written to every record as ``backend``.
        version: changes whenever the output for some report may change, written to every record.
    """

    name: str
    version: str

    def distill(self, report: Mapping[str, str]) -> dict[str, Any]:
        """Distill one report.

        Args:
            report: section name -> text, in the order of reading.

        Returns:
            ``{"text": str, "entities": [...]}`` as ``distilled.schema.json`` describes them.
        """
        ...
