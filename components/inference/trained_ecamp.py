# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A trained ECAMP with all that its images and reports have to be prepared by."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from radbundles.components.distillation.entity_file import entity_file
from radbundles.components.hub.load_weights import load_weights
from radbundles.components.hub.sound import is_shipped, require_sound
from radbundles.components.hub.workflow import bundle_workflow
from radbundles.components.metrics.regions import MEAN, STD
from radbundles.networks import ECAMP
from radbundles.networks.checkpoint_file import file_provenance
from radbundles.transforms import entity_forms, load_report_tokenizer

_WEIGHTS = ("model.safetensors", "model.pt")


@dataclass(frozen=True)
class TrainedECAMP:
    """A network and what belongs to it.

    Attributes:
        network: in eval mode, on its device.
        tokenizer: file of the tokenizer that it was trained with.
        pixel_mean: of the images it was trained on.
        pixel_std: likewise.
        entities: words and phrases that count as entities.
        sha256: digest of the file of weights.
    """

    network: ECAMP
    tokenizer: Path
    pixel_mean: float
    pixel_std: float
    entities: tuple[str, ...]
    sha256: str


def load_trained_ecamp(
    path: str | os.PathLike[str],
    *,
    tokenizer: str | os.PathLike[str] | None = None,
    entities: Sequence[str] | str | os.PathLike[str] | None = None,
    device: str | torch.device | None = None,
) -> TrainedECAMP:
    """Load what a training of ``ecamp_pretrain``, ``radbundles pack`` or ``radbundles convert`` has left.

    Args:
        path: folder of a run (``config.json``, ``model.pt``, ``tokenizer.json``), of a packed bundle, or of a converted
            checkpoint; or a file of weights in such a folder.
        tokenizer: ``tokenizer.json``; by default the one that lies there. Converted checkpoints bring none.
        entities: words, or the name or path of a lexicon; by default those of the run, or "chest" where none are
            recorded.
        device: by default a GPU if there is one.

    Raises:
        FileNotFoundError: if the weights, their configuration or the tokenizer are missing; says how to get them.
        AuditError: if the audit refuses the bundle.
        ValueError: if the weights do not fit the configuration, the tokenizer does not fit the network, or there
            is no such device.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no trained network at {path}")
    device = _usable(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    folder = path if path.is_dir() else path.parent
    packed = next((root for root in (folder, folder.parent) if (root / "configs" / "inference.json").is_file()), None)
    if packed is not None and (packed == folder or folder.name == "models"):
        folder = packed / "models"
    else:
        packed = None
    weights = path if path.is_file() else _weights(folder)
    if packed is not None:
        words = _tokenizer(folder, tokenizer)
        network, preparation = _packed(packed, weights, words)
    else:
        network, preparation = _recorded(folder)
        words = _tokenizer(folder, tokenizer)
    _check_tokenizer(words, network, preparation)
    load_weights(network, weights)
    if entities is None:
        entities = preparation.get("entities", "chest")
    return TrainedECAMP(
        network=network.to(device).eval(),
        tokenizer=words,
        pixel_mean=preparation.get("pixel_mean", MEAN),
        pixel_std=preparation.get("pixel_std", STD),
        entities=entity_forms(entity_file(entities) if isinstance(entities, str) else entities),
        sha256=str(file_provenance(weights)["sha256"]),
    )


def _usable(name: str | torch.device) -> torch.device:
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        raise ValueError(f"device {str(name)!r} cannot be used: {str(error).splitlines()[0]}") from error


def _weights(folder: Path) -> Path:
    found = next((folder / name for name in _WEIGHTS if (folder / name).is_file()), None)
    if found is None:
        raise FileNotFoundError(f"no weights in {folder}: it has none of {', '.join(_WEIGHTS)}")
    return found


def _tokenizer(folder: Path, given: str | os.PathLike[str] | None) -> Path:
    file = folder / "tokenizer.json" if given is None else Path(given)
    if not file.is_file():
        mend = ": name the tokenizer.json that the network was trained with (--tokenizer)" if given is None else ""
        raise FileNotFoundError(f"no tokenizer at {file}{mend}")
    return file


def _recorded(folder: Path) -> tuple[ECAMP, Mapping[str, Any]]:
    """The network of a run or a converted checkpoint, and how it is prepared for."""
    file = folder / "config.json"
    if not file.is_file():
        raise FileNotFoundError(
            f"no config.json in {folder}, which tells what network its weights belong to. Runs of ecamp_pretrain and "
            "radbundles convert write it; weights of an earlier run: make a bundle of them with radbundles pack"
        )
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        sizes = {key: value for key, value in content["network"].items() if key != "_target_"}
        preparation = content.get("preparation", {})
        return ECAMP(**sizes), preparation
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} does not describe an ECAMP: {error}") from error


def _packed(root: Path, weights: Path, tokenizer: Path) -> tuple[ECAMP, Mapping[str, Any]]:
    """The network of a packed bundle, and how it is prepared for."""
    if not is_shipped(root):
        require_sound(root, name=root.name)
    workflow = bundle_workflow(
        root, ["inference"], weights=str(weights), tokenizer=str(tokenizer), device="cpu", dataset_dir=str(root)
    )
    get = workflow.parser.get_parsed_content
    network = get("network")
    if not isinstance(network, ECAMP):
        raise ValueError(f"the bundle in {root} holds a {type(network).__name__}, not an ECAMP")
    return network, {key: get(key) for key in ("pixel_mean", "pixel_std")}


def _check_tokenizer(file: Path, network: ECAMP, preparation: Mapping[str, Any]) -> None:
    """Refuse a tokenizer of another network: its numbers would stand for other words, and nothing would tell."""
    recorded = preparation.get("tokenizer", {}).get("sha256")
    if recorded is not None and file_provenance(file)["sha256"] != recorded:
        raise ValueError(f"{file} is not the tokenizer that the network was trained with: its content is another")
    words, known = load_report_tokenizer(file).get_vocab_size(), network.sizes["vocab_size"]
    if words != known:
        raise ValueError(f"{file} has {words} words, but the network has {known}: it was trained with another one")
