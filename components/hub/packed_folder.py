# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The folder of a bundle that is made of another: it appears whole, and only if its weights load into its network."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


@contextmanager
def whole_folder(out: Path, *, replace: bool = False) -> Iterator[Path]:
    """Give a folder to fill, which takes the name ``out`` at the end, and goes away if anything fails.

    Args:
        out: the folder to make.
        replace: put it in the place of an older one; between the two there may be none for a moment.

    Raises:
        FileExistsError: if ``out`` is there and shall not be replaced.
    """
    if out.exists() and not replace:
        raise FileExistsError(f"{out} is there already: name another folder, or remove it")
    partial, older = (out.with_name(f".{out.name}.{os.getpid()}.{kind}") for kind in ("partial", "older"))
    try:
        (partial / "configs").mkdir(parents=True)
        yield partial
        if out.exists():
            out.replace(older)
        partial.replace(out)
    except BaseException:
        if older.exists() and not out.exists():
            older.replace(out)
        raise
    finally:
        for folder in (partial, older):
            shutil.rmtree(folder, ignore_errors=True)


def copy_documents(root: Path, folder: Path) -> None:
    """Copy what a bundle has beside its network: license, metadata, settings of the log, documents, code of its own.

    What a benchmark found out about other weights stays behind.
    """
    for name in ("LICENSE", "configs/metadata.json", "configs/logging.conf"):
        if (root / name).is_file():
            shutil.copyfile(root / name, folder / name)
    for name in ("docs", "scripts"):
        if (root / name).is_dir():
            shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "benchmark.json"))
    (folder / "docs").mkdir(exist_ok=True)


def copy_overlays(root: Path, folder: Path) -> None:
    """Copy the configs that are laid over others, so that a bundle with weights can be trained further."""
    written = {"inference.json", "metadata.json", "train.json"}  # by whoever makes the folder
    for path in sorted((root / "configs").glob("*.json")):
        if path.name not in written:
            shutil.copyfile(path, folder / "configs" / path.name)


def write_card(folder: Path) -> None:
    """Write the card anew, from what the folder says now; a bundle of older make, without sections, keeps its own."""
    from radbundles.components.cards import write_cards

    if (folder / "docs" / "sections.md").is_file():
        write_cards([folder])


def loaded_network(folder: Path) -> nn.Module:
    """Build the network of a bundle's ``inference.json`` on the CPU, and load the bundle's weights into it.

    Raises:
        ValueError: if they do not fit.
    """
    from radbundles.components.hub.load_weights import load_weights
    from radbundles.components.hub.workflow import bundle_workflow

    workflow = bundle_workflow(folder, ["inference"], device="cpu", dataset_dir=str(folder))
    network: nn.Module = workflow.parser.get_parsed_content("network")
    load_weights(network, folder / "models" / "model.pt")
    return network.eval()


def is_setting(value: Any) -> bool:
    """Whether a value of a config stands for itself: a number, a text that is no expression, or lists and dicts."""
    if isinstance(value, dict):
        return "_target_" not in value and all(is_setting(one) for one in value.values())
    if isinstance(value, list):
        return all(is_setting(one) for one in value)
    return not (isinstance(value, str) and value.startswith(("$", "@", "%")))


def plain_value(value: Any, where: str) -> Any:
    """Copy a value as JSON holds it.

    Raises:
        ValueError: if it is more than that; ``where`` is what the error calls it.
    """
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError):
        raise ValueError(
            f"{where} is a {type(value).__name__}, which cannot be written into a config: use plain values there"
        ) from None


def reshape(tensor: dict[str, Any], channels: int, shape: list[int]) -> None:
    """Put channels and spatial shape into the entry of a tensor in a bundle's ``network_data_format``."""
    if tensor["num_channels"] != channels and "channel_def" in tensor:
        names = list(tensor.pop("channel_def").values())
        if len(set(names)) == 1 and len(names) == tensor["num_channels"]:  # a gray image, repeated
            tensor["channel_def"] = {str(number): names[0] for number in range(channels)}
    tensor["num_channels"], tensor["spatial_shape"] = channels, shape


def read_json(path: Path) -> dict[str, Any]:
    """Read an object of JSON."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write an object as the configs of bundles are written."""
    path.write_text(json.dumps(content, indent=4, ensure_ascii=False) + "\n", encoding="utf-8")
