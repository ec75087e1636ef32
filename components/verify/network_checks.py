# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""V5, V6 and V7: the network of inference fits its metadata, its exported file and its weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radbundles.components.verify.finding import Finding
from radbundles.components.verify.trial import Trial

if TYPE_CHECKING:
    import torch

_INFERENCE = "configs/inference.json"
_METADATA = "configs/metadata.json"
_PRED = "network_data_format#outputs#pred"
_WEIGHTS = ("models/model.safetensors", "models/model.pt")
_SHOWN = 3


def check_in_out(trial: Trial) -> list[Finding]:
    """V5: the network takes the image of the metadata, and its answer has the channels, shape and type of ``pred``.

    MONAI's own check leaves the shape out.
    """
    from monai.bundle import verify_net_in_out

    try:
        network = trial.network
    except Exception as error:
        return [trial.finding("V5", _INFERENCE, error, "mend network_def, or the values for it in configs/verify.json")]
    found: list[Any] = []
    hook = network.register_forward_hook(lambda module, given, answer: found.append(answer))
    try:
        verify_net_in_out(
            "network_def",
            meta_file=str(trial.folder / _METADATA),
            config_file=str(trial.folder / _INFERENCE),
            device="cpu",
            extra_forward_args=trial.forward,
            network_def=network,
        )
    except Exception as error:
        return [trial.finding("V5", _METADATA, error, "mend network_data_format, or the network that it is of")]
    finally:
        hook.remove()
    spatial = trial.metadata["network_data_format"]["outputs"]["pred"].get("spatial_shape", [])
    shape = list(found[0].shape[2:])
    fits = len(spatial) == len(shape) and all(
        one == other for one, other in zip(spatial, shape, strict=True) if isinstance(one, int)
    )
    if fits:
        return []
    return [
        Finding(
            check="V5",
            file=_METADATA,
            key=f"{_PRED}#spatial_shape",
            value=str(spatial),
            message=f"the network gives an answer of the spatial shape {shape}",
            mend="write down what the network gives",
        )
    ]


def check_export(trial: Trial) -> list[Finding]:
    """V6: the network can be exported, read back, and answers as before for batches of several sizes."""
    from radbundles.components.export import export_network

    try:
        export_network(
            trial.folder,
            trial.out / "export" / "network.pt2",
            form="torch",
            values=trial.network_values,
            untrained=not trial.weights,
        )
    except Exception as error:
        return [trial.finding("V6", _INFERENCE, error, "mend the network so that torch.export can follow it")]
    return []


def check_weights_load(trial: Trial) -> list[Finding]:
    """V7: the bundle's weights, read without running code, are those of its network; both files hold the same.

    For a bundle without weights random ones make the round trip through both kinds of file.
    """
    try:
        own = trial.network.state_dict()
    except Exception as error:
        return [trial.finding("V7", _INFERENCE, error, "mend network_def, or the values for it in configs/verify.json")]
    files = trial.weights or _save(own, trial.out / "saved")
    findings, states = [], {}
    for file in files:
        name = file.relative_to(trial.folder).as_posix() if trial.weights else _INFERENCE
        try:
            states[name] = _read(file)
        except Exception as error:
            mend = "save network.state_dict(), and nothing else, with torch.save or as safetensors"
            findings.append(trial.finding("V7", name, error, mend))
            continue
        findings += _compare(name, states[name], own)
    if len(states) > 1 and not findings:
        first, second = states.values()
        differing = [key for key in own if not _equal(first[key], second[key])]
        findings += _tell(list(states)[1], differing, f"unlike {list(states)[0]}", "write both anew")
    return findings


def _save(state: Mapping[str, torch.Tensor], folder: Path) -> list[Path]:
    import torch
    from safetensors.torch import save_file

    folder.mkdir()
    files = [folder / Path(name).name for name in _WEIGHTS]
    save_file({key: value.contiguous() for key, value in state.items()}, files[0])
    torch.save(dict(state), files[1])
    return files


def _read(file: Path) -> dict[str, torch.Tensor]:
    """Read a bare state dict without running code that the file may hold.

    Raises:
        ValueError: it is none.
    """
    import torch

    from radbundles.networks.checkpoint_file import read_checkpoint

    content = read_checkpoint(file)
    others = [str(key) for key, value in content.items() if not isinstance(value, torch.Tensor)]
    if others or not content:
        held = f"{', '.join(others[:_SHOWN])} beside tensors" if content else "nothing"
        raise ValueError(f"{file.name} is no bare state dict: it holds {held}")
    return content


def _compare(file: str, state: Mapping[str, torch.Tensor], own: Mapping[str, torch.Tensor]) -> list[Finding]:
    missing = [key for key in own if key not in state]
    unexpected = [key for key in state if key not in own]
    reshaped = [key for key in own if key in state and state[key].shape != own[key].shape]
    mend = "save the state dict of the network in configs/inference.json, or mend network_def"
    return [
        *_tell(file, missing, "missing", mend),
        *_tell(file, unexpected, "not of the network", mend),
        *_tell(file, reshaped, "of another shape than in the network", mend),
    ]


def _tell(file: str, keys: list[str], what: str, mend: str) -> list[Finding]:
    if not keys:
        return []
    shown = ", ".join(keys[:_SHOWN]) + (", ..." if len(keys) > _SHOWN else "")
    number = "1 tensor is" if len(keys) == 1 else f"{len(keys)} tensors are"
    return [Finding("V7", file, keys[0], shown if len(keys) > 1 else None, f"{number} {what}", mend)]


def _equal(first: torch.Tensor, second: torch.Tensor) -> bool:
    import torch

    return first.dtype == second.dtype and torch.equal(first, second)
