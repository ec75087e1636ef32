# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Wall time of the phases of a run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Phases"]


class Phases:
    """Seconds spent in each named phase, in the order in which the phases first began.

    A phase entered again adds up; a phase that fails counts what it took. Example::

        phases = Phases()
        with phases("train"):
            trainer.run()
        phases.seconds  # {"train": 12.3}
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time the body of a ``with`` statement under this name."""
        self.seconds.setdefault(name, 0.0)
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - begin
