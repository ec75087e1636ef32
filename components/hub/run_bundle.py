# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Run a bundle as MONAI does, once it is sure that every override goes somewhere."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radbundles.components.hub.bundle_config import (
    ConfigFile,
    lay,
    merge,
    read_config,
    references,
    walk,
)
from radbundles.components.hub.printable import printable

if TYPE_CHECKING:
    from monai.bundle import BundleWorkflow

# What `monai.bundle.run` takes beside config ids.
OPTIONS = ("args_file", "final_id", "init_id", "logging_file", "meta_file", "run_id", "tracking", "workflow_type")
_OURS = ("bundle_root", "config_file")


def known_configs(bundle: Path) -> dict[str, Path]:
    """Return the configs of a bundle that can be run or laid over others: name without suffix, and file."""
    return {
        path.stem: path
        for path in sorted((bundle / "configs").iterdir())
        if path.suffix in (".json", ".yaml", ".yml") and path.stem not in ("metadata", "verify")
    }


def config_files(bundle: Path, configs: Sequence[str]) -> list[Path]:
    """Return the files of some configs of a bundle.

    Raises:
        FileNotFoundError: the bundle has no such config; names those it has.
    """
    found = known_configs(bundle)
    for name in configs:
        if name not in found:
            raise FileNotFoundError(
                f"bundle {bundle.name} has no config {name!r}; it has {', '.join(map(printable, found))}"
            )
    return [found[name] for name in configs]


def check_overrides(files: Sequence[Path], overrides: Mapping[str, Any]) -> None:
    """Make sure that overrides change something; MONAI takes a key that nothing reads, and says nothing.

    Args:
        files: the configs, the later ones laid over the first.
        overrides: values by id, with "#" or "::" inside of others.

    Raises:
        KeyError: nothing reads a key; names one that is like it.
        ValueError: a config cannot be read, or a nested key goes into what is not there.
    """
    config = merge([read_config(path) for path in files])
    read = {
        ident.split("#")[0]
        for entry in walk(config)
        if isinstance(entry.value, str)
        for ident in references(entry.value, entry.id)
    }
    for key, value in overrides.items():
        top = key.removeprefix("+").replace("::", "#").split("#")[0]
        if top in config or top in read or top == "_meta_":
            if top in config:
                lay(config, key, value, ConfigFile(Path("command line"), "command line", {}, ()))
            continue
        close = difflib.get_close_matches(top, [*config, *OPTIONS], n=1)
        hint = f": did you mean {close[0]!r}?" if close else f"; it has {', '.join(map(printable, config))}"
        raise KeyError(f"nothing in {' and '.join(path.name for path in files)} reads {key!r}{hint}")


def make_workflow(bundle: Path, configs: Sequence[str], overrides: Mapping[str, Any]) -> BundleWorkflow:
    """Return the initialized workflow of some configs of a bundle, as ``monai.bundle.run`` makes it before it runs.

    Args:
        bundle: folder of the bundle.
        configs: names of its configs, the later ones laid over the first.
        overrides: values by config id, which mean what they mean on MONAI's command line (texts may be expressions),
            and options of ``monai.bundle.run``.

    Raises:
        FileNotFoundError: the bundle has no such config.
        KeyError: nothing reads an override.
        ValueError: an override is given by this function itself, or goes into what is not there.

    What the configs raise while they are set up is raised as itself where it is an error of this kind: MONAI tells of
    the component and not of what was wrong with it.
    """
    files = config_files(bundle, configs)
    for key in _OURS:
        if key in overrides:
            raise ValueError(f"{key} follows from the names of bundle and configs: leave it out")
    check_overrides(files, {key: value for key, value in overrides.items() if key not in OPTIONS})

    from monai.bundle import create_workflow

    from radbundles.components.hub.workflow import root_cause

    made: BundleWorkflow
    try:
        made = create_workflow(config_file=[str(path) for path in files], bundle_root=str(bundle), **overrides)
    except RuntimeError as error:
        cause = root_cause(error)
        if isinstance(cause, (LookupError, OSError, ValueError)):
            raise cause from error
        raise
    return made
