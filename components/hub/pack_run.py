# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The last step of a training run: its weights, classes and thresholds as a bundle that needs no second config."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import radbundles
from radbundles.components.hub.class_names import check_class_names
from radbundles.components.hub.packed_folder import (
    copy_documents,
    copy_overlays,
    is_setting,
    loaded_network,
    plain_value,
    read_json,
    reshape,
    whole_folder,
    write_card,
    write_json,
)

if TYPE_CHECKING:
    from torch import nn

# What each use of a bundle says for itself.
_OF_THE_USE = frozenset("about amp bundle_root dataset_dir device imports num_workers batch_size output_dir".split())


def pack_run(
    *,
    bundle_root: str | os.PathLike[str],
    out: str | os.PathLike[str],
    weights: str | os.PathLike[str],
    settings: Mapping[str, Any],
    classes: Sequence[str],
    points: Mapping[str, Any] | str | os.PathLike[str] | None = None,
    encoder_report: Mapping[str, Any] | str | os.PathLike[str] | None = None,
) -> Path:
    """Make a bundle of the run that calls it, as the last step of its config.

    It has the network and the preparation of images of the trained bundle's ``inference.json`` with the values of this
    run, and in its metadata the names of the classes, by channel, and the operating points: whoever uses it says
    nothing but where the images are. Its ``train.json`` has the same values, so that ``finetune.json`` goes on from its
    weights; the rate, batch and length of the training are those of the trained bundle. It appears whole or not at all,
    and only if its weights load into its network. An older one of the same bundle makes way for it, so that a resumed
    run may pack again. One process alone may pack.

    Args:
        bundle_root: the bundle that was trained.
        out: folder to make, such as ``RUN/bundle``.
        weights: of the run, safetensors or a file of ``torch.save`` that holds tensors alone.
        settings: values of the run in place of those at the top level of ``inference.json`` and ``train.json``:
            numbers, texts, lists or dicts of them.
        classes: names in the order of the network's channels.
        points: operating points chosen on validation data, or the file of them; without, 0.5 is the threshold of every
            class and nothing is calibrated.
        encoder_report: what :func:`~radbundles.components.hub.load_encoder` told, or the file of it; goes to
            ``docs/encoder.json``.

    Returns:
        ``out``.

    Raises:
        FileExistsError: if ``out`` is there and no bundle of such a run.
        FileNotFoundError: if a file is missing.
        ValueError: if a setting is not one of ``inference.json``, the weights do not fit, the network does not answer
            for these classes, or the points are of others.
    """
    from radbundles.components.engines.best_model import save_atomically
    from radbundles.networks.checkpoint_file import file_provenance, read_checkpoint

    root, out = Path(bundle_root), Path(out)
    bundle, names = root.resolve().name, check_class_names(classes)
    if out.exists() and _packed_of(out) != bundle:
        raise FileExistsError(f"{out} is there already and no bundle of a run of {bundle}: name another folder")
    inference, metadata = (read_json(root / "configs" / f"{name}.json") for name in ("inference", "metadata"))
    _set(inference, settings)
    metadata["operating_points"] = _points(points, names, inference.get("task"))
    pred = metadata["network_data_format"]["outputs"]["pred"]
    pred["channel_def"] = {str(place): name for place, name in enumerate(names)}
    state, origin = read_checkpoint(Path(weights)), file_provenance(Path(weights))
    with whole_folder(out, replace=True) as partial:
        copy_documents(root, partial)
        copy_overlays(root, partial)
        write_json(partial / "configs" / "inference.json", inference)
        if (root / "configs" / "train.json").is_file():
            training = read_json(root / "configs" / "train.json")
            training |= {key: inference[key] for key in settings if is_setting(training.get(key, "$"))}
            write_json(partial / "configs" / "train.json", training)
        write_json(partial / "configs" / "metadata.json", metadata)
        save_atomically(state, partial / "models" / "model.pt")
        _describe(metadata["network_data_format"], loaded_network(partial), inference, names)
        write_json(partial / "configs" / "metadata.json", metadata)
        if encoder_report is not None:
            write_json(partial / "docs" / "encoder.json", _content(encoder_report, "encoder_report"))
        record = {"bundle": bundle, "settings": dict(settings), "weights": origin, "radbundles": radbundles.__version__}
        write_json(partial / "docs" / "packed.json", record)
        write_card(partial)
    return out


def _packed_of(folder: Path) -> str | None:
    """Name of the bundle that a folder was packed of."""
    try:
        return read_json(folder / "docs" / "packed.json").get("bundle")
    except (OSError, ValueError, AttributeError):
        return None


def _set(inference: dict[str, Any], settings: Mapping[str, Any]) -> None:
    """Put the values of a run in place of the settings of ``inference.json``."""
    known = [key for key, value in inference.items() if is_setting(value) and key not in _OF_THE_USE]
    for key, value in settings.items():
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(sorted(known))}"
            raise ValueError(f"inference.json has no setting {key!r} at its top level: {hint}")
        plain = plain_value(value, f"the setting {key!r}")
        if not is_setting(plain):
            raise ValueError(f"the setting {key!r} must be a plain value, not the expression or component {value!r}")
        inference[key] = plain


def _content(source: Mapping[str, Any] | str | os.PathLike[str], name: str) -> dict[str, Any]:
    if isinstance(source, Mapping):
        plain: dict[str, Any] = plain_value(dict(source), name)
        return plain
    try:
        return read_json(Path(source))
    except json.JSONDecodeError as error:
        raise ValueError(f"{Path(source).name} is no JSON file: {error}") from error


def _points(
    points: Mapping[str, Any] | str | os.PathLike[str] | None, classes: Sequence[str], task: str | None
) -> dict[str, Any]:
    """Operating points as plain values, of this task (where the bundle has several) and these classes."""
    if points is None:
        return {}
    from radbundles.components.evaluation.operating import read_points

    content = _content(points, "points")
    return read_points(content, task=task or str(content.get("task")), classes=classes)


def _describe(
    formats: dict[str, Any], network: nn.Module, inference: Mapping[str, Any], classes: Sequence[str]
) -> None:
    """Write down the shapes that the network takes and gives."""
    import torch

    image, pred = formats["inputs"]["image"], formats["outputs"]["pred"]
    size, channels = inference["image_size"], inference.get("channels", image["num_channels"])
    reshape(image, channels, [size, size])
    if inference.get("color") == "rgb":
        image["channel_def"] = {"0": "red", "1": "green", "2": "blue"}
    if "pixel_mean" in inference:  # of values in [0, 1]
        mean, std = (torch.tensor(inference[key], dtype=torch.float64) for key in ("pixel_mean", "pixel_std"))
        image["value_range"] = [round(float(low), 4) for low in ((-mean / std).min(), ((1 - mean) / std).max())]
    with torch.inference_mode():
        answer: torch.Tensor = network(torch.zeros(1, channels, size, size))
    # [1, K] or [1, K, S, S] by class, or [1, A, 4 + K] by anchor, with the corners of a box before the classes
    answered = answer.shape[2] - 4 if answer.ndim == 3 else answer.shape[1]
    if answered != len(classes):
        raise ValueError(f"the network answers for {answered} classes, but {len(classes)} are named")
    pred["num_channels"], pred["spatial_shape"] = answer.shape[1], list(answer.shape[2:])
