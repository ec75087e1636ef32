# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A bundle's workflow in this process, as ``python -m monai.bundle run`` makes it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monai.bundle import ConfigWorkflow

# What MONAI reads in any text of a config: the first makes an expression of it, the others refer to something else.
_ESCAPES = {ord(mark): f"\\x{ord(mark):02x}" for mark in "@%#"}


def literal(value: Any) -> Any:
    """Quote a user's text for a config, where "$" runs code and "@", "%" and "#" refer to other places.

    Args:
        value: text, number, None, or lists and dicts of them.

    Returns:
        An expression whose value is ``value``.
    """
    return "$" + repr(value).translate(_ESCAPES)


def bundle_workflow(bundle: Path, configs: Sequence[str], *, kind: str = "inference", **values: Any) -> ConfigWorkflow:
    """Return the initialized workflow of some of a bundle's configs, the later ones laid over the first.

    Args:
        bundle: folder of the bundle.
        configs: names of files in ``configs``, without suffix.
        kind: ``"inference"`` or ``"train"``.
        **values: plain values by config id, taken as they are; texts in them are never evaluated.

    Raises:
        FileNotFoundError: if the bundle has no such config; names those it has.
    """
    from monai.bundle import ConfigWorkflow

    folder = bundle / "configs"
    for name in configs:
        if not (folder / f"{name}.json").is_file():
            known = ", ".join(sorted(path.stem for path in folder.glob("*.json") if path.stem != "metadata"))
            raise FileNotFoundError(f"bundle {bundle.name} has no config {name!r}; it has {known}")
    log = logging.getLogger("monai.bundle.workflows")
    level = log.level
    log.setLevel(logging.ERROR)  # it reports that logging is left alone
    try:
        with warnings.catch_warnings():
            # MONAI warns at each run that configs hold code; this one is the bundle's own.
            warnings.filterwarnings("ignore", message="parsing config_file")
            workflow = ConfigWorkflow(
                config_file=[str(folder / f"{name}.json") for name in configs],
                meta_file=str(folder / "metadata.json"),
                logging_file=False,
                workflow_type=kind,
                **{key: literal(value) for key, value in {"bundle_root": str(bundle), **values}.items()},
            )
            workflow.initialize()
    finally:
        log.setLevel(level)
    return workflow


def root_cause(error: BaseException) -> BaseException:
    """What an error was raised from in the first place: MONAI wraps what a part of a config or a transform raises."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error
