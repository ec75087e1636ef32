# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""One bundle under test: where its files are, and the training that several checks need."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radbundles.components.hub.bundle_config import ConfigFileError, merge, read_config, walk
from radbundles.components.verify.finding import Finding
from radbundles.components.verify.small_bundle import Run, SmallBundle, fill

if TYPE_CHECKING:
    from monai.bundle import ConfigParser
    from torch import nn

_WEIGHTS = ("models/model.safetensors", "models/model.pt")
_FORWARD = "_forward_"
_LONGEST = 600
# How MONAI's errors about a part of a config begin, whose causes say what is wrong.
_WRAPPINGS = ("Failed to instantiate", "Failed to evaluate")


@dataclass
class Trial:
    """One bundle under test.

    Args:
        folder: its root.
        data: folder of the made radiographs.
        out: for what it writes.
        small: how it is made small; None where it does not say.
        checks: names of the checks that are made.
    """

    folder: Path
    data: Path
    out: Path
    small: SmallBundle | None
    checks: frozenset[str]

    @cached_property
    def places(self) -> dict[str, Path]:
        """The folders that values speak of."""
        return {
            "data": self.data / "data",
            "images": self.data / "images",
            "run": self.out / "run",
            "trained": self.out / "trained" / self.folder.name,
        }

    def values(self, run: Run, *, output_dir: Path | None = None) -> dict[str, Any]:
        """Return the values of a workflow with the folders in them; those that every workflow has come with them."""
        inference = run.kind == "inference"
        return {
            "bundle_root": str(self._root(run)),
            "dataset_dir": str(self.places["images" if inference else "data"]),
            "output_dir": str(output_dir or (self.out / "inference" if inference else self.places["run"])),
            "device": "$torch.device('cpu')",
            **fill(dict(run.values), self.places),
        }

    def files(self, run: Run) -> dict[str, Any]:
        """Return the files of a workflow, as MONAI's commands take them."""
        configs = self._root(run) / "configs"
        return {
            "config_file": [str(configs / f"{name}.json") for name in run.configs],
            "meta_file": str(configs / "metadata.json"),
        }

    def _root(self, run: Run) -> Path:
        return self.folder if run.bundle is None else Path(fill(run.bundle, self.places))

    @cached_property
    def weights(self) -> list[Path]:
        """The weights that the bundle comes with."""
        return [path for name in _WEIGHTS if (path := self.folder / name).is_file()]

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """What ``configs/metadata.json`` says."""
        return read_config(self.folder / "configs" / "metadata.json").content

    @cached_property
    def network_values(self) -> dict[str, Any]:
        """Values of ``inference.json`` for its network."""
        values = fill(dict(self.small.network), self.places) if self.small else {}
        return {"bundle_root": str(self.folder), "dataset_dir": str(self.places["images"]), **values}

    @cached_property
    def _inference(self) -> ConfigParser:
        from monai.bundle import ConfigParser

        parser = ConfigParser()
        parser.read_config(str(self.folder / "configs" / "inference.json"))
        parser.read_meta(str(self.folder / "configs" / "metadata.json"))
        for key, value in self.network_values.items():
            parser[key] = value
        if self.small:
            parser[_FORWARD] = fill(dict(self.small.forward), self.places)
        return parser

    @cached_property
    def network(self) -> nn.Module:
        """The network of inference, with random weights."""
        network: nn.Module = self._inference.get_parsed_content("network_def")
        return network.eval()

    @property
    def forward(self) -> dict[str, Any]:
        """What the network takes beside images."""
        return dict(self._inference.get_parsed_content(_FORWARD, default={}))

    @cached_property
    def training_fault(self) -> Exception | None:
        """Train once, as the command in the documents does; what it failed with, or None."""
        assert self.small is not None
        try:
            self.run(self.small.train)
            self._keep_trained()
        except Exception as error:
            return error
        return None

    def run(self, run: Run) -> list[str]:
        """Run a workflow from a folder of its own, and return the names of what it wrote there."""
        from monai.bundle import run as run_bundle

        with elsewhere(self.out) as here:
            run_bundle(**self.files(run), **self.values(run))
            return sorted(path.relative_to(here).as_posix() for path in here.rglob("*") if path.is_file())

    def _keep_trained(self) -> None:
        """Make the bundle with the weights of the training, which others start from."""
        trained = self.places["trained"]
        ignored = shutil.ignore_patterns("models")
        shutil.copytree(self.folder, trained, ignore=ignored)
        (trained / "models").mkdir()
        shutil.copyfile(self.places["run"] / "model.pt", trained / "models" / "model.pt")
        shutil.copyfile(self.places["data"] / "tokenizer.json", trained / "models" / "tokenizer.json")

    def finding(
        self, check: str, file: str, error: BaseException, mend: str, configs: Sequence[str] = ("inference",)
    ) -> Finding:
        """Make a finding of an error, by what caused it; ``configs`` are those it came from."""
        cause = error
        while cause.__cause__ is not None and str(cause).startswith(_WRAPPINGS):
            cause = cause.__cause__
        told = str(cause.args[0] if isinstance(cause, KeyError) and cause.args else cause).strip()
        for name, folder in (("BUNDLE", self.folder), ("DATA", self.data), ("RUN", self.out)):
            told = told.replace(str(folder), name)
        told = told if len(told) <= _LONGEST else f"{told[:_LONGEST]} ..."
        target = _target(error)
        key = self._id_of(target, configs) if target else None
        return Finding(
            check, file, key, target, f"{type(cause).__name__}: {told}" if told else type(cause).__name__, mend
        )

    def _id_of(self, target: str, configs: Sequence[str]) -> str | None:
        """Return where a target stands in some configs; None if nowhere, or in several places."""
        files = [read_config(self.folder / "configs" / f"{name}.json") for name in configs]
        try:
            entries = list(walk(merge(files)))
        except ConfigFileError:
            return None
        name = target.rpartition(".")[2]
        found = [one.id for one in entries if one.kind == "target" and one.value.rpartition(".")[2] == name]
        return found[0].rpartition("#")[0] if len(found) == 1 else None


def _target(error: BaseException) -> str | None:
    """Return the target that could not be instantiated, the innermost of those that MONAI's errors name."""
    found: str | None = None
    current: BaseException | None = error
    while current is not None:
        text = str(current)
        if text.startswith("Failed to instantiate component '"):
            found = text.split("'")[1]
        current = current.__cause__
    return found


@contextmanager
def elsewhere(out: Path) -> Iterator[Path]:
    """Work in an empty folder, which goes away again."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory(dir=out) as name:
        os.chdir(name)
        try:
            yield Path(name)
        finally:
            os.chdir(before)
