# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""V4 and V8: every config instantiates, and training, evaluation and inference run."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from radbundles.components.verify.finding import Finding
from radbundles.components.verify.small_bundle import Run
from radbundles.components.verify.trial import Trial, elsewhere

if TYPE_CHECKING:
    from monai.bundle import ConfigWorkflow

_TRY = "mend the config, or the values for it in configs/verify.json"


def check_configs(trial: Trial) -> list[Finding]:
    """V4: every workflow of ``configs/verify.json`` instantiates and has the properties that MONAI demands.

    Evaluation and inference want weights, so the bundle is trained first.
    """
    assert trial.small is not None
    findings = []
    for run in trial.small.workflows:
        if run is not trial.small.train and trial.training_fault is not None and _needs_training(trial, run):
            if "V8" not in trial.checks and run is trial.small.evaluate:
                findings.append(_untrained("V4", trial))
            continue
        try:
            faults = _instantiate(trial, run)
        except Exception as error:
            findings.append(trial.finding("V4", run.file, error, _TRY, run.configs))
        else:
            findings += [Finding("V4", run.file, ident, None, message, mend) for ident, message, mend in faults]
    return findings


def _untrained(check: str, trial: Trial) -> Finding:
    assert trial.small is not None and trial.training_fault is not None
    run = trial.small.train
    return trial.finding(check, run.file, trial.training_fault, _TRY, run.configs)


def _needs_training(trial: Trial, run: Run) -> bool:
    said = f"{run.bundle} {dict(run.values)}"
    return (trial.small is not None and run is trial.small.evaluate) or "{run}" in said or "{trained}" in said


def _instantiate(trial: Trial, run: Run) -> list[tuple[str, str, str]]:
    """Make all that a workflow has; return id, message and mend of the properties that it lacks."""
    from monai.bundle import ConfigWorkflow

    with elsewhere(trial.out), _one_process():
        # Evaluation reads what the training wrote; the others leave it alone.
        reads = trial.small is not None and run is trial.small.evaluate
        values = trial.values(run, output_dir=None if reads else trial.out / "instantiated")
        workflow = ConfigWorkflow(**trial.files(run), logging_file=False, workflow_type=run.kind, **values)
        workflow.initialize()
        try:
            return _properties(workflow, run.kind)
        finally:
            workflow.finalize()


def _properties(workflow: ConfigWorkflow, kind: str) -> list[tuple[str, str, str]]:
    """Check what MONAI's tools ask a workflow for; ``check_properties`` stops at the first that is not there."""
    ids = {name: str(entry["id"]) for name, entry in (workflow.properties or {}).items()}
    required = [name for name, entry in (workflow.properties or {}).items() if entry.get("required")]
    missing = [ids[name].replace("::", "#") for name in required if ids[name] not in workflow.parser]
    if missing:
        message = f"MONAI demands this property of a workflow of the type {kind}"
        return [(ident, message, "add it, and refer to it as @id where it is used") for ident in missing]
    try:
        wrong = workflow.check_properties()
    except TypeError as error:
        raise TypeError(
            f"MONAI's check_properties() cannot read the handlers ({error}): write them as objects with _target_ "
            "inside the list, not as references"
        ) from None
    message = "MONAI knows this property by this id, and what uses it refers to another"
    return [(ids[name].replace("::", "#"), message, "refer to it as @id where it is used") for name in wrong or ()]


@contextmanager
def _one_process() -> Iterator[None]:
    """Give what ``torchrun`` gives the only process of a run."""
    import ignite.distributed as idist

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    given = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    before = {name: os.environ.get(name) for name in given}
    os.environ |= given
    try:
        yield
    finally:
        idist.sync()  # Ignite remembers the group of processes, which the config has left
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def check_workflows(trial: Trial) -> list[Finding]:
    """V8: training, evaluation and inference run from another folder, and leave what they promise."""
    small = trial.small
    assert small is not None
    if trial.training_fault is not None:
        return [_untrained("V8", trial)]
    findings = _promised(trial, small.train)
    for run in (small.evaluate, small.inference):
        try:
            stray = trial.run(run)
        except Exception as error:
            findings.append(trial.finding("V8", run.file, error, _TRY, run.configs))
            continue
        findings += _promised(trial, run)
        findings += [
            Finding(
                check="V8",
                file=run.file,
                key="output_dir",
                value=name,
                message="this file was written into the folder that the command was started in",
                mend="write to output_dir",
            )
            for name in stray
        ]
    return findings + _refused(trial)


def _promised(trial: Trial, run: Run) -> list[Finding]:
    folder = trial.out / "inference" if run.kind == "inference" else trial.places["run"]
    return [
        Finding(
            check="V8",
            file=run.file,
            key="output_dir",
            value=pattern,
            message="the run ended without an error and left no such file, or an empty one",
            mend="mend what writes it, or what configs/verify.json says that the run gives",
        )
        for pattern in run.gives
        if not any(path.is_file() and path.stat().st_size for path in folder.glob(pattern))
    ]


def _refused(trial: Trial) -> list[Finding]:
    """Findings for made images that inference could not answer for."""
    assert trial.small is not None
    faults = trial.out / "inference" / "faults.jsonl"
    lines = faults.read_text(encoding="utf-8").splitlines() if faults.is_file() else []
    return [
        Finding(
            check="V8",
            file=trial.small.inference.file,
            key="preprocessing",
            value=record.get("id"),
            message=f"a made radiograph was refused: {record.get('reason')}",
            mend="mend preprocessing",
        )
        for record in map(json.loads, lines)
    ]
