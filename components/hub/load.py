# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""From the name of a bundle to its trained network."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radbundles.components.hub.bundle_values import asks_in_words
from radbundles.components.hub.bundles import Bundle, find_bundle, read_bundle
from radbundles.components.hub.hub_id import cached_snapshot, is_hub_id, real_files
from radbundles.components.hub.loaded_bundle import LoadedBundle
from radbundles.components.hub.sound import is_shipped, require_sound
from radbundles.components.hub.workflow import root_cause

if TYPE_CHECKING:
    import torch


def load_bundle(
    source: str | os.PathLike[str],
    *,
    revision: str | None = None,
    weights: str | os.PathLike[str] | None = None,
    tokenizer: str | os.PathLike[str] | None = None,
    untrained: bool = False,
    device: str | torch.device = "cpu",
    allow: Sequence[str] = (),
) -> LoadedBundle:
    """See :func:`radbundles.load`, which is this function."""
    if untrained and weights is not None:
        raise ValueError(f"untrained=True leaves no use for weights={os.fspath(weights)!r}: give one of them")
    bundle, commit = _find(os.fspath(source), revision, allow)
    values = _files(bundle, os.fspath(source), weights=weights, tokenizer=tokenizer, untrained=untrained)
    return _build(bundle, values, device=device, commit=commit)


def _find(source: str, revision: str | None, allow: Sequence[str]) -> tuple[Bundle, str | None]:
    """The bundle, once nothing speaks against running what it says, and its commit on the Hub."""
    if revision is None:
        try:
            bundle = find_bundle(source)
        except LookupError as error:
            if not is_hub_id(source):
                raise LookupError(f"{error.args[0]}, nor ORG/NAME on the Hugging Face Hub") from None
        else:
            if not is_shipped(bundle.folder):
                require_sound(bundle.folder, name=bundle.name, allow=allow)
            return bundle, None
    elif not is_hub_id(source):
        raise ValueError(f"{source!r} is no ORG/NAME on the Hugging Face Hub and has no revision, got {revision!r}")
    folder, commit = cached_snapshot(source, revision=revision)
    with real_files(folder) as files:
        require_sound(files, name=source, allow=allow)
    return read_bundle(folder, source), commit


def _files(
    bundle: Bundle,
    name: str,
    *,
    weights: str | os.PathLike[str] | None,
    tokenizer: str | os.PathLike[str] | None,
    untrained: bool,
) -> dict[str, str]:
    """The files that the network is made of, as values of ``inference.json``.

    Raises:
        FileNotFoundError: if one is missing; says how to get it.
        ValueError: if the bundle's files cannot be read, or it has no use for a tokenizer.
    """
    if bundle.fault:
        raise ValueError(bundle.fault)
    in_words = asks_in_words(bundle)
    if tokenizer is not None and not in_words:
        raise ValueError(f"bundle {name} is not asked in words: leave out tokenizer={os.fspath(tokenizer)!r}")
    files: dict[str, str] = {}
    if not untrained:
        file = Path(weights) if weights is not None else bundle.weights
        if file is None:
            raise FileNotFoundError(
                f"bundle {name} comes without weights: give weights=FILE of a training run, name the bundle that a "
                "run has made (OUTPUT_DIR/bundle), or build it with untrained=True"
            )
        if not file.is_file():
            raise FileNotFoundError(f"no weights at {file}")
        files["weights"] = str(file)
    if in_words:
        place = Path(tokenizer) if tokenizer is not None else bundle.folder / "models" / "tokenizer.json"
        if not place.exists():
            if tokenizer is not None:
                raise FileNotFoundError(f"no tokenizer at {place}")
            raise FileNotFoundError(
                f"bundle {name} comes without a tokenizer, which decides the size of its network: give "
                "tokenizer=FILE, the tokenizer.json of the training run"
            )
        files["tokenizer"] = str(place)
    return files


def _build(bundle: Bundle, values: dict[str, str], *, device: str | torch.device, commit: str | None) -> LoadedBundle:
    import torch

    from radbundles.components.hub.load_weights import load_weights
    from radbundles.components.hub.workflow import bundle_workflow

    where = torch.device(device)
    try:
        workflow = bundle_workflow(bundle.folder, ["inference"], device=str(where), **values)
        get = workflow.parser.get_parsed_content
        network = get("network") if "network" in workflow.parser else get("network_def").to(where)
        inferer, preprocessing = get("inferer"), get("preprocessing")
        names = _class_names(get, bundle.metadata)
    except Exception as error:
        cause = root_cause(error)  # MONAI wraps what a part of a config raises
        if cause is error or not isinstance(cause, (ImportError, LookupError, OSError, ValueError)):
            raise
        raise cause from None
    if "weights" in values:
        load_weights(network, values["weights"])
    return LoadedBundle(
        network=network.eval(),
        preprocessing=preprocessing,
        inferer=inferer,
        class_names=names,
        metadata=bundle.metadata,
        folder=bundle.folder,
        device=where,
        commit=commit,
    )


def _class_names(get: Any, metadata: dict[str, Any]) -> tuple[str, ...]:
    """What a bundle answers about: phrases and classes, entities, or the channels of its metadata."""
    asked = [*get("phrases", default=()), *(get("classes", default=()) or get("entities", default=()))]
    try:
        channels = metadata["network_data_format"]["outputs"]["pred"]["channel_def"]
    except (KeyError, TypeError):
        channels = {}
    return tuple(map(str, asked or channels.values()))
