# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Runs of bundles that a page names: whether configs and overrides are there."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.pages.parsers import LineError

from radbundles.components.hub.run_bundle import OPTIONS, check_overrides, config_files


@dataclass(frozen=True)
class Place:
    """Where the commands of a block are run.

    Args:
        repository: root of the checkout.
        folder: an empty folder, for the files that the block writes.
        bundle: folder of the bundle that the page belongs to, if it is a card.
    """

    repository: Path
    folder: Path
    bundle: Path | None = None

    def find_bundle(self, name: str) -> Path | None:
        """Return the folder of a bundle of ours, or of one that the block itself has written; None for others.

        Raises:
            LineError: it looks like one of ours, and is none.
        """
        if name in (".", "./") and self.bundle is not None:
            return self.bundle
        for folder in (self.folder / name, self.repository / "bundles" / name, self.repository / name):
            if (folder / "configs").is_dir():
                return folder.resolve()
        ours = self.our_bundles()
        if close := difflib.get_close_matches(name, ours, n=1, cutoff=0.9):
            raise LineError(f"there is no bundle {name!r}: did you mean {close[0]!r}?")
        return None

    def our_bundles(self) -> list[str]:
        """Names of the bundles of this checkout."""
        return sorted(path.parents[1].name for path in (self.repository / "bundles").glob("*/configs/metadata.json"))


def check_monai_run(words: Sequence[str], place: Place) -> None:
    """Check what stands behind ``python -m monai.bundle run``.

    Raises:
        LineError: a config does not exist, the bundle cannot be told, or nothing reads an override.
    """
    configs, overrides = read_overrides(words)
    if configs:
        raise LineError(f"{configs[0]!r} belongs to no option")
    root = str(overrides.pop("bundle_root", "."))
    named = _paths(str(overrides.pop("config_file", "")))
    if not named:
        raise LineError("--config_file is missing")
    bundle = place.find_bundle(root)
    if bundle is None:
        raise LineError(f"--bundle_root {root}: nobody can tell which bundle this is")
    files = []
    for name in named:
        # Configs are named from the folder that the command is run in: the bundle itself if that is "."
        file = (bundle / name if root in (".", "./") else place.repository / name).resolve()
        if not file.is_file():
            raise LineError(f"--config_file: there is no {name}")
        if file.parent != bundle / "configs":
            raise LineError(f"--config_file {name} is not of the bundle of --bundle_root {root}")
        files.append(file)
    _check(files, overrides)


def check_named_run(bundle: Path, configs: Sequence[str], overrides: dict[str, Any]) -> None:
    """Check configs of a bundle, by name, and overrides.

    Raises:
        LineError: the bundle has no such config, or nothing reads an override.
    """
    try:
        files = config_files(bundle, configs)
    except FileNotFoundError as error:
        raise LineError(str(error)) from None
    _check(files, overrides)


def read_overrides(words: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """Tell plain words from ``--id value``, as ``radbundles run`` does.

    Raises:
        LineError: an id has no value, or a word stands behind one.
    """
    from radbundles.cli.run_command import _split

    try:
        return _split(list(words))
    except ValueError as error:
        raise LineError(str(error)) from None


def _check(files: Sequence[Path], overrides: dict[str, Any]) -> None:
    try:
        check_overrides(files, {key: value for key, value in overrides.items() if key not in OPTIONS})
    except (KeyError, ValueError) as error:
        raise LineError(str(error.args[0])) from None


def _paths(text: str) -> list[str]:
    if not text.startswith("["):
        return [text] if text else []
    try:
        return [str(path) for path in ast.literal_eval(text)]
    except (SyntaxError, ValueError):
        raise LineError(f"--config_file {text} is no list") from None
