# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""V2: ``configs/metadata.json`` after our schema, and the rules that no schema can say."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from radbundles.components.hub.bundle_config import ConfigFileError, find, read_config
from radbundles.components.verify.finding import Finding
from radbundles.components.verify.preflight import preflights

_FILE = "configs/metadata.json"
_SCHEMA = Path(__file__).parents[1] / "hub" / "metadata.schema.json"
_PACKAGES = {"monai_version": "monai", "pytorch_version": "torch", "numpy_version": "numpy"}
# Formats whose channels have no class each: what a box has are its corners and a score a class.
_BOXES, _UNNAMED = "boxes", ("embedding",)


def check_metadata(folder: Path) -> Iterator[Finding]:
    """Yield what is wrong with the metadata of a bundle."""
    path = folder / _FILE
    if not path.is_file():
        return  # told by V1
    try:
        file = read_config(path)
    except ConfigFileError as error:
        yield Finding("V2", _FILE, None, None, str(error), "mend the file")
        return
    for key in file.duplicates:
        yield Finding("V2", _FILE, key, None, "the key stands there twice, and the last one counts", "take one out")
    faults = list(_schema_faults(file.content))
    yield from faults
    if faults:
        return  # the rules below read what the schema promises
    yield from _check_versions(folder, file.content)
    for kind, first in (("inputs", "image"), ("outputs", "pred")):
        yield from _check_tensors(file.content["network_data_format"][kind], kind, first)
    yield from _check_classes(folder, file.content)
    yield from _check_data_sets(folder, file.content)


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(json.loads(_SCHEMA.read_text(encoding="utf-8")))


def _schema_faults(content: Mapping[str, Any]) -> Iterator[Finding]:
    for error in sorted(
        _validator().iter_errors(content), key=lambda error: [str(part) for part in error.absolute_path]
    ):
        path = [str(part) for part in error.absolute_path]
        mend = error.schema.get("mend") or "mend it after metadata.schema.json of radbundles"
        if error.validator == "required":
            path.append(error.message.split("'")[1])
            yield Finding("V2", _FILE, "#".join(path), None, "the key is missing", "add it")
            continue
        value = None if isinstance(error.instance, (dict, list)) else str(error.instance)
        yield Finding("V2", _FILE, "#".join(path) or None, value, error.message[:200], mend)


def _check_versions(folder: Path, content: Mapping[str, Any]) -> Iterator[Finding]:
    version, newest = content["version"], next(iter(content["changelog"]))
    if version not in content["changelog"]:
        yield Finding(
            "V2", _FILE, "changelog", version, "the version is not in the changelog", f"say what is new in {version}"
        )
    elif newest != version:
        mend = "put the newest version first, and make it the bundle's"
        yield Finding(
            "V2", _FILE, "changelog", newest, f"the changelog begins with another version than {version}", mend
        )
    stated = {key: (package, content[key]) for key, package in _PACKAGES.items()}
    for package, pinned in content["required_packages_version"].items():
        stated[f"required_packages_version#{package}"] = (package, pinned)
    for key, (package, pinned) in stated.items():
        yield from _check_pin(folder, key, package, pinned)


def _check_pin(folder: Path, key: str, package: str, pinned: str) -> Iterator[Finding]:
    try:
        made_with = Version(pinned)
    except InvalidVersion:
        yield Finding("V2", _FILE, key, pinned, "this is no version", "give the exact one, such as 2.13.0")
        return
    if made_with.local:
        mend = f"write {made_with.public}, which package indexes have"
        yield Finding("V2", _FILE, key, pinned, "a local version cannot be installed from an index", mend)
    bounds = _bounds().get(package.lower())
    if bounds is not None and not bounds.contains(made_with, prereleases=True):
        mend = f"make the bundle with a version that fits {package}{bounds}"
        yield Finding("V2", _FILE, key, pinned, "radbundles does not allow this version", mend)
    if package != "radbundles":
        return
    for place in preflights(folder):
        try:
            fits = SpecifierSet(place.spec).contains(made_with, prereleases=True)
        except InvalidSpecifier:
            continue  # told by V3
        if not fits:
            message = f"{place.file} asks for radbundles {place.spec}"
            yield Finding("V2", _FILE, key, pinned, message, f"make both agree: change this, or {place.key} there")


@cache
def _bounds() -> Mapping[str, SpecifierSet]:
    try:
        lines = importlib.metadata.requires("radbundles") or []
    except importlib.metadata.PackageNotFoundError:  # run from a checkout that is not installed
        return {}
    needed = [Requirement(line) for line in lines]
    return {
        item.name.lower(): item.specifier
        for item in needed
        if item.marker is None or item.marker.evaluate({"extra": ""})
    }


def _check_tensors(tensors: Mapping[str, Any], kind: str, first: str) -> Iterator[Finding]:
    prefix = f"network_data_format#{kind}"
    if next(iter(tensors)) != first:
        message = (
            f"MONAI Label and Deploy take the first of the {kind}, and MONAI's verification the one named {first!r}"
        )
        yield Finding("V2", _FILE, prefix, next(iter(tensors)), message, f"put {first!r} first")
    for name, tensor in tensors.items():
        channels, key = tensor.get("channel_def"), f"{prefix}#{name}#channel_def"
        if channels is None or tensor["format"] in _UNNAMED:
            continue
        if list(channels) != [str(place) for place in range(len(channels))]:
            yield Finding(
                "V2", _FILE, key, ", ".join(channels), "the channels are not counted from 0", "number them 0, 1, 2 ..."
            )
        if tensor["format"] == _BOXES:
            shape = tensor["spatial_shape"]
            # A candidate is four corners and a score a class; num_channels counts the candidates.
            if not shape or shape[-1] != 4 + len(channels):
                mend = f"make spatial_shape end in {4 + len(channels)}, or name every class"
                yield Finding("V2", _FILE, key, str(len(channels)), f"classes do not fit boxes of shape {shape}", mend)
        elif len(channels) != tensor["num_channels"]:
            message = f"{len(channels)} channels are named, and num_channels is {tensor['num_channels']}"
            yield Finding("V2", _FILE, key, str(len(channels)), message, "name every channel once")


def _check_classes(folder: Path, content: Mapping[str, Any]) -> Iterator[Finding]:
    """Compare the classes that inference.json asks for, where it lists them, with those of the metadata."""
    pred = content["network_data_format"]["outputs"]["pred"]
    named = pred.get("channel_def")
    try:
        classes = find(read_config(folder / "configs" / "inference.json").content, "classes")
    except (ConfigFileError, LookupError):
        return
    if not named or pred["format"] in _UNNAMED or not isinstance(classes, list) or list(named.values()) == classes:
        return
    first = next(
        (str(at) for at, pair in enumerate(zip(named.values(), classes, strict=False)) if pair[0] != pair[1]), None
    )
    key = "network_data_format#outputs#pred#channel_def" + (f"#{first}" if first else "")
    value = named[first] if first else str(len(named))
    message = "the classes differ from those of configs/inference.json"
    yield Finding("V2", _FILE, key, value, message, "list the same classes in the same order")


def _check_data_sets(folder: Path, content: Mapping[str, Any]) -> Iterator[Finding]:
    path = folder / "docs" / "data_license.txt"
    terms = " ".join(path.read_text(encoding="utf-8", errors="replace").split()) if path.is_file() else None
    if terms is not None and len(terms) < 20:
        mend = "name every data set with its terms, or say that there is none"
        yield Finding("V2", "docs/data_license.txt", None, terms, "the file names no data and no terms", mend)
    if "data_sets" not in content:
        return
    from radbundles.components.cards import data_sets_of

    try:
        roles = data_sets_of(content)
    except (ValueError, KeyError, LookupError) as error:
        yield Finding("V2", _FILE, "data_sets", None, str(error), "name data sets of components/cards/datasets.json")
        return
    for role, sets in roles.items():
        for data_set in sets:
            if terms is not None and data_set.name not in terms:
                mend = "write the file anew with `radbundles card`"
                message = f"the file does not name a data set of {role}"
                yield Finding("V2", "docs/data_license.txt", None, data_set.name, message, mend)
