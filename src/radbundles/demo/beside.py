# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Both stages of DCXFM in a process of their own, beside the training of ECAMP."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from radbundles.components.reports import Phases
from radbundles.demo.grounding import GroundingResult, run_grounding
from radbundles.demo.masks import MasksResult, run_masks

Results = tuple[GroundingResult, MasksResult | None, dict[str, float]]


@contextmanager
def dcxfm_beside(
    log: Path, *, own: bool, masks_epochs: int | None, **arguments: Any
) -> Iterator[Callable[[], Results]]:
    """Train DCXFM in a process of its own while the body goes on; if that fails, both end.

    Args:
        log: file for what it prints.
        own: whether the data is the user's.
        masks_epochs: of stage 2; None takes those of :func:`run_masks`.
        **arguments: of :func:`run_grounding`, but ``step``.

    Yields:
        A function that waits for it and returns the results of :func:`run_grounding` and :func:`run_masks` and the
        seconds by phase; raises what was raised, or RuntimeError if the process was killed.
    """
    log.unlink(missing_ok=True)
    # A fork would copy the threads of torch in any state.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        future = pool.submit(_train, log, torch.get_num_threads(), own, masks_epochs, arguments)

        def result() -> Results:
            try:
                return future.result()
            except BrokenProcessPool:
                raise RuntimeError(f"the training of DCXFM was killed, maybe for lack of memory; see {log}") from None

        try:
            yield result
        except BaseException:
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def _train(log: Path, threads: int, own: bool, epochs: int | None, arguments: dict[str, Any]) -> Results:
    with log.open("w", encoding="utf-8") as file:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file.fileno(), stream.fileno())
    torch.set_num_threads(threads)
    phases = Phases()

    @contextmanager
    def step(name: str, text: str) -> Iterator[None]:
        print(text, flush=True)
        with phases(name):
            yield

    grounding = run_grounding(**arguments, step=step)
    shared = {key: arguments[key] for key in ("out", "datalist", "section", "seed", "workers")}
    return grounding, run_masks(**shared, epochs=epochs, stage1=grounding, own=own, step=step), phases.seconds
