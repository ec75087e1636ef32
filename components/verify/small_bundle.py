# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""``configs/verify.json``: how a bundle is made small enough for its checks to take seconds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from radbundles.components.hub.bundle_config import ConfigFileError, merge, read_config

NAME = "configs/verify.json"
MISSING = f"no {NAME}"
# Files of configs that are no workflow.
_NO_WORKFLOW = ("metadata", "verify")
_SCHEMA = Path(__file__).with_name("verify.schema.json")


class SmallBundleError(ValueError):
    """``configs/verify.json`` is not right.

    Args:
        key: where in it.
        message: what is wrong.
        mend: what to do about it.
    """

    def __init__(self, key: str | None, message: str, mend: str) -> None:
        super().__init__(f"{NAME}: {key}: {message}; {mend}" if key else f"{NAME}: {message}; {mend}")
        self.key, self.message, self.mend = key, message, mend


@dataclass(frozen=True)
class Run:
    """A workflow of the bundle.

    Args:
        configs: names of its configs, the later ones laid over the first.
        values: values by config id, as on the command line.
        gives: patterns of the files that it leaves.
        bundle: the bundle whose configs they are, where it is another one.
    """

    configs: tuple[str, ...]
    values: Mapping[str, Any]
    gives: tuple[str, ...] = ()
    bundle: str | None = None

    @property
    def file(self) -> str:
        """The configs as findings name them."""
        return " + ".join(f"configs/{name}.json" for name in self.configs)

    @property
    def kind(self) -> str:
        """MONAI's type of workflow, which decides what properties it must have."""
        return "train" if self.configs[0] == "train" else "inference"


@dataclass(frozen=True)
class SmallBundle:
    """What ``configs/verify.json`` says.

    Args:
        train: a training of one epoch.
        evaluate: judges its weights.
        inference: asks the trained network.
        overlays: further workflows that must instantiate.
        network: values of ``inference.json`` that make its network small and keep what it takes and gives.
        forward: what the network takes beside images, as values of ``inference.json``.
    """

    train: Run
    evaluate: Run
    inference: Run
    overlays: tuple[Run, ...]
    network: Mapping[str, Any] = field(default_factory=dict)
    forward: Mapping[str, Any] = field(default_factory=dict)

    @property
    def workflows(self) -> tuple[Run, ...]:
        """All of them, in an order in which each finds what it needs."""
        return (self.train, self.evaluate, self.inference, *self.overlays)


def read_small_bundle(folder: Path) -> SmallBundle | None:
    """Read ``configs/verify.json`` of a bundle; None if it has none.

    A bundle with weights of its own is asked as its user does, by ``inference.json`` alone, and keeps the size of its
    weights; so does ``train.json``, from which others go on.

    Raises:
        SmallBundleError: if it cannot be read, is not as ``verify.schema.json`` says, names configs or values that the
            bundle does not have, or leaves a config out.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        content = read_config(path).content
    except ConfigFileError as error:
        raise SmallBundleError(None, str(error), "mend the file") from error
    fault = min(_validator().iter_errors(content), key=lambda error: list(map(str, error.path)), default=None)
    if fault is not None:
        place = "#".join(map(str, fault.path))
        raise SmallBundleError(place or None, fault.message, "see components/verify/verify.schema.json")
    common = content.get("values", {})
    own = any((folder / "models" / name).is_file() for name in ("model.safetensors", "model.pt"))
    train = _run(folder, content["train"], common)
    asked = {"configs": ["inference"], "gives": content["inference"]["gives"]} if own else content["inference"]
    small = SmallBundle(
        train=train,
        evaluate=_run(folder, content["evaluate"], {**common, **content["train"].get("values", {})}),
        inference=_run(folder, asked, common),
        overlays=tuple(_run(folder, _at_own_size(entry) if own else entry, common) for entry in content["overlays"]),
        network={} if own else content["network"].get("values", {}),
        forward=content["network"].get("forward", {}),
    )
    _check(folder, small, common)
    return small


def _at_own_size(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out the values that make a published network small: that of the weights may be another one."""
    values = {key: value for key, value in entry.get("values", {}).items() if _top(key) != "network_def"}
    return {**entry, "values": values}


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(json.loads(_SCHEMA.read_text(encoding="utf-8")))


def _run(folder: Path, entry: Mapping[str, Any], common: Mapping[str, Any]) -> Run:
    """Give an entry those of the common values that its configs have."""
    files = [folder / "configs" / f"{name}.json" for name in entry["configs"]]
    for file in files:
        if not file.is_file():
            raise SmallBundleError(file.stem, "is no config of the bundle", "mend the name, or take it out")
    try:
        known = merge([read_config(file) for file in files])
    except ConfigFileError:
        known = {}  # told by the checks that lay them over one another
    own = entry.get("values", {})
    for key in own:
        if known and _top(key) not in known:
            names = " + ".join(entry["configs"])
            raise SmallBundleError(key, f"is a value of {names}, which has no such id", "mend the name")
    values = {key: value for key, value in common.items() if _top(key) in known}
    return Run(tuple(entry["configs"]), {**values, **own}, tuple(entry.get("gives", ())), entry.get("bundle"))


def _top(ident: str) -> str:
    return ident.replace("::", "#").partition("#")[0]


def _check(folder: Path, small: SmallBundle, common: Mapping[str, Any]) -> None:
    used = {key for run in small.workflows for key in run.values}
    for key in common:
        if key not in used:
            raise SmallBundleError(f"values#{key}", "is an id of no config", "mend the name, or take it out")
    named = {name for run in small.workflows for name in run.configs}
    for path in sorted((folder / "configs").glob("*.json")):
        if path.stem not in named and path.stem not in _NO_WORKFLOW:
            message = f"configs/{path.name} is named nowhere and so never tried"
            raise SmallBundleError("overlays", message, "add it with the configs that it is laid over")


def fill(value: Any, places: Mapping[str, Path]) -> Any:
    """Put folders in place of ``{data}``, ``{images}`` and the like, in texts wherever they are."""
    if isinstance(value, str):
        for name, folder in places.items():
            value = value.replace(f"{{{name}}}", str(folder))
        return value
    if isinstance(value, Mapping):
        return {key: fill(one, places) for key, one in value.items()}
    return [fill(one, places) for one in value] if isinstance(value, list) else value
