# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""From a training run to a bundle that needs nothing but itself."""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import radbundles
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
    from monai.bundle import ConfigParser
    from torch import nn

# What belongs to a run and not to the weights; the entities of a run are masked in reports, those of inference asked.
_OF_THE_RUN = frozenset(
    "about amp bundle_root dataset_dir device entities imports num_workers batch_size output_dir seed tokenizer "
    "weights".split()
)
_LOAD_TEXT = "radbundles.networks.load_text_encoder"
_BUILD = "radbundles.networks.pretrained_model.build_model"


def pack_bundle(
    bundle_root: str | os.PathLike[str],
    configs: Sequence[str],
    out: str | os.PathLike[str],
    *,
    weights: str | os.PathLike[str],
    tokenizer: str | os.PathLike[str],
    overrides: Mapping[str, Any] | None = None,
) -> Path:
    """Make a bundle of a trained network.

    Its ``inference.json`` is that of the trained bundle, with the network as the run built it, and with the run's
    values of every setting that both share (size of the image, channels, longest text). What the run loaded from
    elsewhere, such as a published text encoder, is written down as its configuration, since the weights bring its
    tensors. Its ``train.json`` holds the configs and values of the run, paths aside, and the same network, so that
    ``finetune.json`` goes on from its weights. The result appears whole or not at all, and only if its weights load
    into its network.

    Args:
        bundle_root: the bundle that was trained.
        configs: names of the configs of the run in their order, such as ``["train", "tiny"]``.
        out: folder to make; its name is the new bundle's.
        weights: of the run, safetensors or a file of ``torch.save`` that holds tensors alone.
        tokenizer: of the run, or the folder of its text encoder.
        overrides: values by config id that the run was started with.

    Returns:
        ``out``.

    Raises:
        FileExistsError: if ``out`` is there already.
        FileNotFoundError: if a config, the weights or the tokenizer are missing.
        ValueError: if the weights do not fit, or the network depends on something that cannot be written down.
    """
    from radbundles.components.engines.best_model import save_atomically
    from radbundles.components.hub.workflow import literal
    from radbundles.networks.checkpoint_file import file_provenance, read_checkpoint

    root, out = Path(bundle_root), Path(out)
    if out.exists():
        raise FileExistsError(f"{out} is there already: name another folder, or remove it")
    state, origin = read_checkpoint(Path(weights)), file_provenance(Path(weights))
    inference = read_json(root / "configs" / "inference.json")
    # Overrides mean what they mean on the command line of a run, where a text may be an expression; paths do not.
    values = {"bundle_root": literal(str(root)), "tokenizer": literal(str(tokenizer)), **(overrides or {})}
    training = _training_config(root, configs, values)
    _take_settings(inference, training)
    network = _network_def(training)
    inference["network_def"] = {**inference["network_def"], **network, "_target_": inference["network_def"]["_target_"]}
    if "name" in inference.get("model", {}):
        inference["model"]["name"] = out.name

    kept = {key: value for key, value in (overrides or {}).items() if not _is_path(value)}

    with whole_folder(out) as partial:
        copy_documents(root, partial)
        copy_overlays(root, partial)
        write_json(partial / "configs" / "inference.json", inference)
        write_json(
            partial / "configs" / "train.json", _further_training(_training_config(root, configs, kept), network)
        )
        save_atomically(state, partial / "models" / "model.pt")
        _save_tokenizer(Path(tokenizer), partial / "models" / "tokenizer.json")
        write_json(partial / "configs" / "metadata.json", _metadata(root, inference, loaded_network(partial)))
        record = {
            "bundle": root.resolve().name,
            "configs": list(configs),
            "overrides": kept,
            "weights": origin,
            "tokenizer": file_provenance(partial / "models" / "tokenizer.json"),
            "radbundles": radbundles.__version__,
        }
        write_json(partial / "docs" / "packed.json", record)
        write_card(partial)
    return out


def _training_config(root: Path, configs: Sequence[str], values: Mapping[str, Any]) -> ConfigParser:
    from monai.bundle import ConfigParser

    files = [root / "configs" / f"{name}.json" for name in configs]
    for file in files:
        if not file.is_file():
            raise FileNotFoundError(f"bundle {root.name} has no config {file.stem!r}")
    parser = ConfigParser()
    parser.read_config([str(file) for file in files])
    parser.update(dict(values))
    return parser


def _further_training(training: ConfigParser, network: Mapping[str, Any]) -> dict[str, Any]:
    """One config of a run's several, for training on: its network and its tokenizer come with the weights."""
    config: dict[str, Any] = copy.deepcopy(training.get())
    config.pop("_meta_", None)
    return config | {
        "tokenizer": "$os.path.join(@bundle_root, 'models', 'tokenizer.json')",
        "network_def": {**config["network_def"], **network, "_target_": config["network_def"]["_target_"]},
    }


def _take_settings(inference: dict[str, Any], training: ConfigParser) -> None:
    """Put the training's values in place of those of inference, for the settings that both have."""
    raw = copy.deepcopy(training.get())
    for key, value in inference.items():
        if is_setting(value) and key in raw and key not in _OF_THE_RUN:
            inference[key] = plain_value(training.get_parsed_content(key), key)


def _network_def(training: ConfigParser) -> dict[str, Any]:
    """The network's definition as plain values, free of what it was loaded from."""
    definition = copy.deepcopy(training.get("network_def"))
    if not isinstance(definition, dict) or "_target_" not in definition:
        raise ValueError(f"network_def must be an object with a _target_, got {definition!r}")
    built: nn.Module = training.get_parsed_content("network_def")

    def write(node: Any, path: tuple[str, ...]) -> Any:
        where = "#".join(("network_def", *path))
        if isinstance(node, dict):
            if node.get("_target_") == _LOAD_TEXT:
                return {"_target_": _BUILD, "config": _model_config(built.get_submodule(".".join(path)))}
            made = {key: write(value, (*path, key)) for key, value in node.items() if key != "weights"}
            if isinstance(made.get("source"), str):  # a published model, named by repository or folder
                model: Any = built.get_submodule(".".join(path)).get_submodule("model")
                made = {key: value for key, value in made.items() if key != "revision"}
                made["source"] = _model_config(model)
            return made
        if isinstance(node, list):
            return [write(value, (*path, str(place))) for place, value in enumerate(node)]
        if isinstance(node, str) and node.startswith(("$", "@")):
            return plain_value(training.get_parsed_content(where), where)
        return node

    written: dict[str, Any] = write(definition, ())
    return written


def _model_config(model: Any) -> dict[str, Any]:
    """Configuration of a model of transformers without what differs from machine to machine."""
    config = model.config.to_diff_dict()
    dropped = ("_name_or_path", "transformers_version", "architectures", "torch_dtype", "dtype")
    return {"model_type": model.config.model_type} | {key: value for key, value in config.items() if key not in dropped}


def _save_tokenizer(source: Path, target: Path) -> None:
    if source.is_file() and source.suffix == ".json":
        shutil.copyfile(source, target)
        return
    from radbundles.transforms import load_text_tokenizer

    load_text_tokenizer(source).save(str(target))


def _metadata(root: Path, inference: Mapping[str, Any], network: nn.Module) -> dict[str, Any]:
    """The bundle's metadata with the shapes that this network takes and gives."""
    import torch

    from radbundles.networks import DCXFMDense

    metadata = read_json(root / "configs" / "metadata.json")
    formats = metadata["network_data_format"]
    image, size = formats["inputs"]["image"], inference.get("image_size")
    if size is None:
        return metadata
    channels, classes = inference.get("channels", image["num_channels"]), inference.get("classes", [])
    reshape(image, channels, [size, size])
    blank = [torch.zeros(1, channels, size, size)]
    if isinstance(network, DCXFMDense):
        blank.append(torch.ones(len(classes), network.aggregator.prompt_channels, network.dim))
    with torch.inference_mode():
        answer = network(*blank)
    if isinstance(answer, torch.Tensor):
        reshape(formats["outputs"]["pred"], answer.shape[1], list(answer.shape[2:]))
        if isinstance(network, DCXFMDense):
            formats["outputs"]["pred"]["channel_def"] = {str(place): name for place, name in enumerate(classes)}
    return metadata


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and os.sep in value
