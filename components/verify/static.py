# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The checks of a bundle that run nothing of it: files, metadata, configs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from radbundles.components.verify.config_rules import check_configs
from radbundles.components.verify.files import check_files
from radbundles.components.verify.finding import Finding
from radbundles.components.verify.metadata_rules import check_metadata

STATIC_CHECKS: dict[str, Callable[[Path], Iterator[Finding]]] = {
    "V1": check_files,
    "V2": check_metadata,
    "V3": check_configs,
}


def check_static(folder: str | Path, *, checks: Collection[str] = tuple(STATIC_CHECKS)) -> list[Finding]:
    """Check what the files of a bundle say, without running anything of it.

    V1 and V2 import neither torch nor MONAI. V3 imports the packages that the configs may name (not the bundle's own
    modules), to see whether targets exist and take the arguments they are given.

    Args:
        folder: the bundle.
        checks: which of V1, V2 and V3 to run.

    Returns:
        What is wrong, check by check; nothing for a good bundle.

    Raises:
        NotADirectoryError: there is no folder.
        ValueError: a check of another name is asked for.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is no folder: name the root of a bundle, which holds configs/metadata.json")
    if unknown := sorted(set(checks) - STATIC_CHECKS.keys()):
        raise ValueError(f"{', '.join(unknown)} is no static check: name some of {', '.join(STATIC_CHECKS)}")
    found = (finding for name, check in STATIC_CHECKS.items() if name in checks for finding in check(folder))
    return list(dict.fromkeys(found))
