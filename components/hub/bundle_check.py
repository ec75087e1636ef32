# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether a bundle is complete and fits what is installed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import radbundles
from radbundles.components.hub.bundles import Bundle
from radbundles.components.hub.weights import WeightsReport, check_weights

# MONAI's bundle specification and the model zoo demand these; the data licence is our own rule.
_FILES = ("LICENSE", "configs/metadata.json", "docs/README.md", "docs/data_license.txt")
_WORKFLOWS = ("train", "inference")
_SUFFIXES = ("json", "yaml", "yml")
# The preflight as configs write it: `$__import__('radbundles').require('>=0.1,<0.2')`, with or without the import.
_PREFLIGHT = re.compile(r"""radbundles(?:[\\'"]+\))?\.require\([\\'"]+([^'"\\]+)""")


@dataclass(frozen=True)
class BundleReport:
    """What was found out about one bundle.

    Args:
        name: name of the bundle.
        version: its version.
        origin: where it comes from, see ``Bundle``.
        folder: its root.
        requires: the versions of radbundles that its configs ask for.
        tested_with: package name to the version that the bundle was made with.
        weights: state of its weights.
        problems: what is broken.
        notes: what is worth knowing.
    """

    name: str
    version: str | None
    origin: str
    folder: str
    requires: tuple[str, ...]
    tested_with: dict[str, str]
    weights: WeightsReport
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def check_bundle(bundle: Bundle) -> BundleReport:
    """Read the files of a bundle and compare them with what is installed; nothing of it is run."""
    problems = [bundle.fault] if bundle.fault else []
    notes: list[str] = []
    problems += [f"{name} is missing" for name in _FILES if not (bundle.folder / name).is_file()]
    if not any(
        (bundle.folder / "configs" / f"{name}.{suffix}").is_file() for name in _WORKFLOWS for suffix in _SUFFIXES
    ):
        problems.append("configs has neither a train nor an inference workflow")
    if not bundle.fault and not isinstance(bundle.version, str):
        problems.append("configs/metadata.json has no version")
    requires = _preflights(bundle.folder)
    for spec in requires:
        try:
            radbundles.require(spec)
        except (ImportError, ValueError) as error:
            problems.append(str(error))
    tested = _tested_with(bundle)
    for package, made_with in tested.items():
        _compare(package, made_with, problems, notes)
    weights = check_weights(bundle)
    return BundleReport(
        name=bundle.name,
        version=bundle.version,
        origin=bundle.origin,
        folder=str(bundle.folder),
        requires=requires,
        tested_with=tested,
        weights=weights,
        problems=(*problems, *weights.problems),
        notes=(*notes, *weights.notes),
    )


def _preflights(folder: Path) -> tuple[str, ...]:
    specs: set[str] = set()
    for suffix in _SUFFIXES:
        for path in (folder / "configs").glob(f"*.{suffix}"):
            specs.update(_PREFLIGHT.findall(path.read_text(encoding="utf-8", errors="replace")))
    return tuple(sorted(specs))


def _tested_with(bundle: Bundle) -> dict[str, str]:
    named = {"monai": "monai_version", "torch": "pytorch_version", "numpy": "numpy_version"}
    tested = {package: bundle.metadata.get(key) for package, key in named.items()}
    packages = bundle.metadata.get("required_packages_version")
    tested |= packages if isinstance(packages, dict) else {}
    return {package: made_with for package, made_with in tested.items() if isinstance(made_with, str)}


def _compare(package: str, made_with: str, problems: list[str], notes: list[str]) -> None:
    from packaging.version import InvalidVersion, Version

    try:
        installed = version(package)
    except PackageNotFoundError:
        problems.append(f"{package} is not installed: pip install {package}")
        return
    try:
        # An older package may lack what the bundle uses. A newer one is what any later environment has.
        if Version(installed) < Version(made_with):
            notes.append(f"{package} {installed} is older than {made_with}, which the bundle was made with")
    except InvalidVersion:
        notes.append(f"{package} {installed} cannot be compared with {made_with!r} of configs/metadata.json")
