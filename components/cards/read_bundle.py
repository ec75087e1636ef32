# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The files that a card is made of, read without running anything."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from radbundles.components.cards.data_sets import DataSet, data_sets_of
from radbundles.components.hub.config_file import ConfigFileError, read_config

_WEIGHTS = ("models/model.pt", "models/model.safetensors")


@dataclass(frozen=True)
class BundleFiles:
    """What a card is made of.

    Args:
        folder: root of the bundle.
        metadata: content of ``configs/metadata.json``.
        train: content of ``configs/train.json``, empty where there is none.
        inference: the same of ``configs/inference.json``.
        data_sets: role -> data sets that the metadata names.
        has_weights: whether weights are there.
        license: ``Apache-2.0``, ``MIT``, or ``see LICENSE``.
    """

    folder: Path
    metadata: dict[str, Any]
    train: dict[str, Any]
    inference: dict[str, Any]
    data_sets: dict[str, tuple[DataSet, ...]]
    has_weights: bool
    license: str

    @classmethod
    def read(cls, folder: Path) -> BundleFiles:
        """Read a bundle.

        Raises:
            ValueError: a file is missing or faulty, or metadata names an unknown data set; the message names the file.
        """
        configs = folder / "configs"
        metadata = read_config(configs / "metadata.json").content
        try:
            behind = data_sets_of(metadata)
        except ValueError as error:
            raise ValueError(f"{folder.name}: {error}") from None
        return cls(
            folder=folder,
            metadata=metadata,
            train=_config(configs, "train"),
            inference=_config(configs, "inference"),
            data_sets=behind,
            has_weights=any((folder / name).is_file() for name in _WEIGHTS),
            license=_license(folder / "LICENSE"),
        )

    def document(self, name: str) -> dict[str, Any] | None:
        """Read a JSON object in ``docs``, or return None where there is none.

        Raises:
            ValueError: it is none.
        """
        path = self.folder / "docs" / name
        return read_config(path).content if path.is_file() else None


def setting(content: dict[str, Any], id: str) -> Any:
    """Follow an id, and the references it leads to, in a config that nobody runs.

    Args:
        content: the config.
        id: such as ``train#trainer#max_epochs``.

    Returns:
        the value; an expression as its text, None where there is no such id.
    """
    for _ in range(16):  # a reference that leads in a circle ends somewhere
        value: Any = content
        for key in id.replace("::", "#").split("#"):
            if isinstance(value, list) and key.isdecimal() and int(key) < len(value):
                value = value[int(key)]
            elif isinstance(value, dict):
                value = value.get(key)
            else:
                return None
        if not (isinstance(value, str) and value.startswith("@")):
            return value
        id = value[1:]
    return None


def resolved(content: dict[str, Any], value: Any) -> Any:
    """Look up a value that is a reference such as ``@image_size``; any other is given back."""
    return setting(content, value[1:]) if isinstance(value, str) and value.startswith("@") else value


def short_name(target: Any) -> str:
    """Last part of a ``_target_``."""
    return str(target).rsplit(".", 1)[-1]


def _config(configs: Path, name: str) -> dict[str, Any]:
    path = next(
        (
            configs / f"{name}{suffix}"
            for suffix in (".json", ".yaml", ".yml")
            if (configs / f"{name}{suffix}").is_file()
        ),
        None,
    )
    return read_config(path).content if path else {}


def _license(path: Path) -> str:
    if not path.is_file():
        raise ConfigFileError(f"{path} is missing: every bundle carries the license of its code")
    head = path.read_text(encoding="utf-8", errors="replace")[:400]
    return "Apache-2.0" if "Apache License" in head else "MIT" if "MIT License" in head else "see LICENSE"
