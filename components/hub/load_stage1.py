# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What DCXFM's first stage has learned, as the start of the second."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from radbundles.networks import DCXFM

_IN_FOLDERS = ("models/model.pt", "model.pt", "model.safetensors")


def load_stage1(
    network: DCXFM, path: str | os.PathLike[str], *, image: Literal["student", "teacher"] = "student"
) -> None:
    """Load the towers that stage 1 has trained, every tensor of them.

    Args:
        network: gets the weights; unchanged after an error.
        path: ``model.pt`` of a stage-1 run or its folder, a folder that ``radbundles pack`` or ``radbundles convert``
            made, or a ``checkpoint_*.pt`` of the run. Files are read with ``weights_only=True``.
        image: the image tower to take: the trained one, or the teacher that followed it as a moving average, which
            checkpoints alone have. The text tower has no teacher.

    Raises:
        FileNotFoundError: if there is no such file, or none in the folder.
        ValueError: if the file holds no stage 1, no teacher, or tensors that do not fit.
    """
    from radbundles.components.hub.load_weights import fit_weights
    from radbundles.networks.checkpoint_file import read_checkpoint
    from radbundles.networks.dcxfm_checkpoint import is_dcxfm_checkpoint

    if image not in ("student", "teacher"):
        raise ValueError(f'image must be "student" or "teacher", got {image!r}')
    file = _file(Path(path))
    content = read_checkpoint(file)
    if is_dcxfm_checkpoint(content):
        raise ValueError(
            f"{file.name} is a checkpoint of the official code: make a folder of it with radbundles convert"
        )
    fit_weights(network, _towers(content, image, file), file.name)


def _file(path: Path) -> Path:
    if not path.is_dir():
        if not path.is_file():
            raise FileNotFoundError(f"no weights of stage 1 at {path}: name its model.pt, its folder or a checkpoint")
        return path
    found = next((path / name for name in _IN_FOLDERS if (path / name).is_file()), None)
    if found is None:
        raise FileNotFoundError(f"no weights of stage 1 in {path}: it has none of {', '.join(_IN_FOLDERS)}")
    return found


def _towers(content: Mapping[str, Any], image: str, file: Path) -> Mapping[str, Any]:
    """The state dict of a network, out of what the training wrote."""
    objective = content.get("objective")
    if not isinstance(objective, Mapping):
        if image == "teacher":
            raise ValueError(
                f"{file.name} holds the student alone: the teacher is in the checkpoints of the stage-1 run, "
                "checkpoints/checkpoint_*.pt in its output_dir"
            )
        return content
    towers = {"image.": "network.image." if image == "student" else "teacher.image.", "text.": "network.text."}
    state = {
        ours + key.removeprefix(theirs): tensor
        for key, tensor in objective.items()
        for ours, theirs in towers.items()
        if key.startswith(theirs)
    }
    if not any(key.startswith("image.") for key in state):
        what = "network" if image == "student" else "teacher: the run was made without self-distillation"
        raise ValueError(f"{file.name} is no checkpoint of stage 1 with a {what}")
    return state
