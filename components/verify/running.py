# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Verifies bundles, each in a process of its own, so that one that crashes or hangs is a finding like any other."""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, nullcontext
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, SpawnContext
from pathlib import Path

from radbundles.components.hub.bundles import read_bundle
from radbundles.components.verify.finding import Finding
from radbundles.components.verify.progress import Progress
from radbundles.components.verify.static import check_static
from radbundles.components.verify.verdict import CHECKS, Verdict, results_of

# Checks that import nothing heavy, and those that want radiographs.
_LIGHT = ("V1", "V2")
_RUNNING = ("V4", "V5", "V6", "V7", "V8")
TIME_LIMIT = 300
# Several threads verify a bundle each, and all have one environment.
_ENVIRONMENT = threading.Lock()
# Imported once and shared by the processes of all bundles, since MONAI and transformers take ten seconds.
_PRELOADED = (
    "monai.bundle",
    "monai.apps",
    "radbundles.components.data",
    "radbundles.components.engines",
    "radbundles.components.evaluation",
    "radbundles.components.hub",
    "radbundles.components.inference",
    "radbundles.components.metrics",
    "radbundles.components.phantom",
    "radbundles.components.reports",
    "radbundles.components.verify.checks",
    "radbundles.components.zero_shot",
    "radbundles.losses",
    "radbundles.networks",
    "radbundles.transforms",
)


def verify_bundle(
    folder: Path,
    *,
    checks: Collection[str] = tuple(CHECKS),
    data: Path | None = None,
    time_limit: float = TIME_LIMIT,
) -> Verdict:
    """Verify one bundle: its files first, then what it does on made radiographs, on the CPU.

    It runs what the configs say. Audit a bundle of others before (``radbundles audit``). A script that calls this, or
    ``publish_bundle``, does so under ``if __name__ == "__main__":``, as all do that start processes.

    Args:
        folder: root of the bundle; nothing is written there.
        checks: names of the checks to make, see ``CHECKS``.
        data: folder that :func:`made_data` gave, for several bundles; made for this one by default.
        time_limit: seconds after which the running checks are ended, which is a finding.

    Returns:
        The verdict. Bundles without ``configs/verify.json`` pass without V4, V6 and V8, and ``results`` says so.

    Raises:
        FileNotFoundError: there is no bundle in ``folder``.
        ValueError: a check that does not exist is asked for.
    """
    folder = Path(folder).resolve()
    if not (folder / "configs").is_dir():
        raise FileNotFoundError(f"no bundle at {folder}: it has no folder configs")
    asked = _known(checks)
    start = time.monotonic()
    light = [check for check in asked if check in _LIGHT]
    heavy = [check for check in asked if check not in _LIGHT]
    findings: list[Finding] = check_static(folder, checks=light)
    skipped: dict[str, str] = {}
    if heavy:
        with nullcontext(data) if data or not set(heavy) & set(_RUNNING) else made_data() as made:
            progress = _run_in_process(folder, heavy, made, time_limit)
        findings += progress.findings
        skipped = progress.skipped
    return Verdict(
        name=folder.name,
        version=read_bundle(folder, "").version,
        folder=folder,
        findings=tuple(findings),
        results=results_of(asked, findings, skipped),
        seconds=time.monotonic() - start,
    )


def verify_bundles(
    folders: Sequence[Path], *, checks: Collection[str] = tuple(CHECKS), jobs: int = 2, time_limit: float = TIME_LIMIT
) -> Iterator[Verdict]:
    """Verify several bundles, ``jobs`` at a time, as :func:`verify_bundle` does; verdicts come as they are found."""
    shared = made_data() if set(_known(checks)) & set(_RUNNING) else nullcontext(None)
    with shared as data, ThreadPoolExecutor(jobs) as pool:
        tasks = [
            pool.submit(verify_bundle, folder, checks=checks, data=data, time_limit=time_limit) for folder in folders
        ]
        try:
            for task in as_completed(tasks):
                yield task.result()
        finally:
            for task in tasks:
                task.cancel()


def _known(checks: Collection[str]) -> list[str]:
    if unknown := sorted(set(checks) - set(CHECKS)):
        raise ValueError(f"there is no check {', '.join(unknown)}: name one of {', '.join(CHECKS)}")
    return [check for check in CHECKS if check in checks]


@contextmanager
def made_data() -> Iterator[Path]:
    """Make the radiographs that bundles are verified on, for the time of the block.

    Raises:
        RuntimeError: they could not be made.
    """
    with tempfile.TemporaryDirectory(prefix="radbundles-verify-") as name:
        from radbundles.components.verify.worker import make

        process = _context().Process(target=make, args=(name,))
        process.start()
        process.join()
        if process.exitcode != 0:
            log = Path(name, "log.txt").read_text(encoding="utf-8", errors="replace")
            raise RuntimeError(f"the radiographs to verify bundles on could not be made: {log[-2000:]}")
        yield Path(name)


def _run_in_process(folder: Path, checks: list[str], data: Path | None, time_limit: float) -> Progress:
    from radbundles.components.verify.worker import work

    with tempfile.TemporaryDirectory(prefix="radbundles-verify-") as name:
        process = _context().Process(target=work, args=(str(folder), checks, str(data or name), name))
        process.start()
        process.join(time_limit)
        late = process.is_alive()
        if late:
            process.kill()
            process.join()
        ended = f"took longer than {time_limit:g} seconds" if late else _cause(process.exitcode)
        return Progress.read(Path(name), checks, ended)


def _cause(code: int | None) -> str | None:
    if code == 0:
        return None
    return f"ended its process by signal {-code}" if code and code < 0 else f"ended its process with code {code}"


def _context() -> ForkServerContext | SpawnContext:
    """Return how processes start: forked from one that has imported what all of them need, where the system can."""
    if sys.platform == "win32":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_PRELOADED))
    with _one_thread():
        forkserver.ensure_running()
    return context


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let libraries that are imported in a new process start one thread: bundles share the cores among themselves."""
    with _ENVIRONMENT:
        before = os.environ.get("OMP_NUM_THREADS")
        os.environ["OMP_NUM_THREADS"] = "1"
        try:
            yield
        finally:
            del os.environ["OMP_NUM_THREADS"]
            if before is not None:
                os.environ["OMP_NUM_THREADS"] = before
