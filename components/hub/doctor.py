# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""One look at everything that must fit together: packages, machine, pixel codecs, bundles, weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any

import radbundles
from radbundles.components.hub.bundle_check import BundleReport, check_bundle
from radbundles.components.hub.bundles import find_bundle, find_bundles
from radbundles.components.hub.codecs import Codec, list_codecs
from radbundles.components.hub.machine import Machine, describe_machine


@dataclass(frozen=True)
class Package:
    """A dependency of radbundles: its name, the versions we ask for, the version installed, and whether it fits."""

    name: str
    required: str
    installed: str | None
    fits: bool


@dataclass(frozen=True)
class Diagnosis:
    """What ``radbundles doctor`` found.

    Args:
        radbundles: installed version.
        machine: the machine.
        packages: our dependencies, by name.
        codecs: transfer syntaxes of DICOM pixel data.
        bundles: one report a bundle.
        problems: everything that is broken; empty on a sound installation.
        notes: optional things that are missing, and what to do about them.
    """

    radbundles: str
    machine: Machine
    packages: tuple[Package, ...]
    codecs: tuple[Codec, ...]
    bundles: tuple[BundleReport, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON values, with ``ok`` for whether nothing is broken."""
        return {"ok": not self.problems, **asdict(self)}


def diagnose(names: Sequence[str] = ()) -> Diagnosis:
    """Examine the installation and the bundles.

    Args:
        names: names or folders of the bundles to look at; none means every bundle that can be found.

    Raises:
        LookupError: one of ``names`` is no bundle.
        NotADirectoryError: an entry of ``RADBUNDLES_PATH`` is no folder.
    """
    bundles = tuple(check_bundle(bundle) for bundle in (map(find_bundle, names) if names else find_bundles()))
    problems: list[str] = []
    notes: list[str] = []
    machine = describe_machine()
    packages = _packages(problems)
    torch = next((package.installed for package in packages if package.name == "torch"), None)
    if machine.gpus and torch and torch.endswith("+cpu"):
        notes.append(f"torch {torch} is a CPU build and leaves {machine.gpus[0]} idle: install a build for it")
    try:
        codecs = tuple(list_codecs())
    except ImportError:
        codecs = ()  # pydicom is a dependency, so that its absence is already among the problems
    for command in dict.fromkeys(codec.install for codec in codecs if codec.install):
        syntaxes = ", ".join(codec.keyword for codec in codecs if codec.install == command)
        notes.append(f"DICOM files in {syntaxes} need: {command} (all of them: pip install 'radbundles[jpeg]')")
    for bundle in bundles:
        problems += [f"{bundle.name}: {problem}" for problem in bundle.problems]
        notes += [f"{bundle.name}: {note}" for note in bundle.notes]
    return Diagnosis(radbundles.__version__, machine, packages, codecs, bundles, tuple(problems), tuple(notes))


def _packages(problems: list[str]) -> tuple[Package, ...]:
    from packaging.requirements import Requirement

    try:
        requirements = [Requirement(line) for line in requires("radbundles") or []]
    except PackageNotFoundError:
        problems.append("radbundles is imported from a folder that is not installed: pip install -e . in the checkout")
        return ()
    packages = []
    for requirement in sorted(requirements, key=lambda requirement: requirement.name):
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        wanted = str(requirement.specifier)
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            installed = None
        fits = installed is not None and requirement.specifier.contains(installed, prereleases=True)
        packages.append(Package(requirement.name, wanted, installed, fits))
        if not fits:
            found = f"{installed} is installed" if installed else "it is not installed"
            problems.append(f"radbundles needs {requirement.name} {wanted}, but {found}: pip install '{requirement}'")
    return tuple(packages)
