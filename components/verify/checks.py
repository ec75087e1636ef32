# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The checks that run a bundle, one after the other in this process."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from radbundles.components.verify import progress
from radbundles.components.verify.finding import Finding
from radbundles.components.verify.network_checks import check_export, check_in_out, check_weights_load
from radbundles.components.verify.small_bundle import MISSING, NAME, SmallBundle, SmallBundleError, read_small_bundle
from radbundles.components.verify.static import STATIC_CHECKS, check_static
from radbundles.components.verify.trial import Trial
from radbundles.components.verify.workflow_checks import check_configs, check_workflows

_CHECKS: dict[str, Callable[[Trial], list[Finding]]] = {
    "V4": check_configs,
    "V5": check_in_out,
    "V6": check_export,
    "V7": check_weights_load,
    "V8": check_workflows,
}
# What a bundle does at the size of its own without being told how to become small.
_WITHOUT = ("V5", "V7")


def run_checks(folder: Path, checks: Sequence[str], *, data: Path, out: Path) -> None:
    """Make checks of a bundle in this process.

    Args:
        folder: root of the bundle.
        checks: names of those to make.
        data: folder of :func:`~radbundles.components.verify.made_data.make_data`.
        out: an empty folder, for what the bundle writes and for what is found, see ``progress``.
    """
    for check in checks:
        if check in STATIC_CHECKS:
            progress.begin(out, check)
            progress.end(out, check, check_static(folder, checks=[check]), None)
    if running := [check for check in checks if check in _CHECKS]:
        # A copy, so that a bundle that writes over its own files spoils nothing.
        _run(Path(shutil.copytree(folder, out / "bundles" / folder.name)), running, data, out)


def _run(folder: Path, checks: Sequence[str], data: Path, out: Path) -> None:
    before = files_of(folder)
    try:
        small, fault = read_small_bundle(folder), None
    except SmallBundleError as error:
        small, fault = None, error
    trial = Trial(folder, data, out, small, frozenset(checks))
    for check in checks:
        progress.begin(out, check)
        findings, skipped = _make(check, trial, small, fault)
        after = files_of(folder)
        findings += [_written(check, path) for path in changed(before, after)]
        before = after
        progress.end(out, check, findings, skipped)


def _make(
    check: str, trial: Trial, small: SmallBundle | None, fault: SmallBundleError | None
) -> tuple[list[Finding], str | None]:
    if fault is not None:
        # Told once, by the first of the checks that run something.
        if check == min(trial.checks):
            return [Finding(check, NAME, fault.key, None, fault.message, fault.mend)], None
        return [], f"{NAME} is not right"
    if small is None and check not in _WITHOUT:
        return [], MISSING
    try:
        return _CHECKS[check](trial), None
    except Exception as error:  # a check that fails in a way it does not know is no reason to leave the others out
        return [trial.finding(check, "configs", error, "mend what the error names")], None


def files_of(folder: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of change of every file in a folder."""
    return {
        path.relative_to(folder).as_posix(): ((found := path.stat()).st_size, found.st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def changed(before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]]) -> Collection[str]:
    """Return the names of files that came, went, or were written."""
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def _written(check: str, path: str) -> Finding:
    return Finding(
        check=check,
        file=path,
        key="output_dir",
        value=None,
        message="running the bundle wrote, changed or removed this file of it",
        mend="write to output_dir, outside of the bundle",
    )
