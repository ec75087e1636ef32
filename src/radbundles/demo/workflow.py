# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A bundle's workflow, run in this process as ``python -m monai.bundle run`` runs it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigWorkflow


def build_workflow(bundle: Path, *configs: str, **overrides: Any) -> ConfigWorkflow:
    """Return the initialized workflow of some of a bundle's configs, the later ones laid over the first.

    Args:
        bundle: folder of the bundle.
        *configs: names of files in ``configs``, without suffix.
        **overrides: values by config id, as on the command line.
    """
    logging.getLogger("monai.bundle.workflows").setLevel(logging.ERROR)  # it reports that logging is left alone
    with warnings.catch_warnings():
        # MONAI warns at each run that configs hold code; this one is our own.
        warnings.filterwarnings("ignore", message="parsing config_file")
        workflow = ConfigWorkflow(
            config_file=[str(bundle / "configs" / f"{name}.json") for name in configs],
            meta_file=str(bundle / "configs" / "metadata.json"),
            logging_file=False,
            workflow_type="train",
            bundle_root=str(bundle),
            **overrides,
        )
        workflow.initialize()
    return workflow


def command_line(bundle: Path, configs: Sequence[str], settings: Mapping[str, Any]) -> str:
    """Write the command that does what :func:`build_workflow` and ``run`` do."""
    files = ",".join(f"'{bundle / 'configs' / name}.json'" for name in configs)
    shown = " ".join(
        f'--{name} "{value}"' if isinstance(value, list) else f"--{name} {value}" for name, value in settings.items()
    )
    return f'$ python -m monai.bundle run --config_file "[{files}]" --bundle_root {bundle} {shown}'
