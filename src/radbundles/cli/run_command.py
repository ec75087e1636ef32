# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""``radbundles run``: the configs of a bundle by name, as MONAI runs them."""

from __future__ import annotations

import json
import shlex
import warnings
from typing import Annotated, Any

import typer

from radbundles.cli.app import app

_HELP = """Run configs of a bundle by name: the same as python -m monai.bundle run, without paths.

--ID VALUE sets any value of the configs, inside of others with "#" (--network_def#dim 64). An id that no config knows
is refused, with the one that was meant. --show prints MONAI's command and runs nothing.

A bundle that did not come with this package is audited before anything of it runs (radbundles audit).

Example:

radbundles run ecamp_classification train --dataset_dir data --output_dir runs/mine

radbundles run ecamp_classification train tiny evaluate --dataset_dir data --output_dir runs/mine

torchrun --standalone --nproc_per_node=4 -m radbundles run ecamp_classification train multi_gpu_train --dataset_dir data
"""


@app.command(
    "run",
    help=_HELP,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    options_metavar="[--ID VALUE]...",
)
def run(
    context: typer.Context,
    bundle: Annotated[str, typer.Argument(help="Name or folder of a bundle.", show_default=False)],
    show: Annotated[bool, typer.Option("--show", help="Print the command of MONAI that does the same.")] = False,
    allow: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Let the audit pass this name; may be repeated.")
    ] = None,
) -> None:
    """See ``_HELP``."""
    from radbundles.components.hub.bundles import find_bundle
    from radbundles.components.hub.printable import printable
    from radbundles.components.hub.run_bundle import check_overrides, config_files, known_configs, make_workflow
    from radbundles.components.hub.sound import is_shipped, require_sound

    try:
        configs, overrides = _split(context.args)
        found = find_bundle(bundle)
        if not configs:
            known = ", ".join(map(printable, known_configs(found.folder)))
            raise ValueError(f"name the configs to run; bundle {found.name} has {known}")
        if show:
            files = config_files(found.folder, configs)
            check_overrides(files, overrides)
            typer.echo(_command(str(found.folder), [str(path) for path in files], overrides))
            return
        if not is_shipped(found.folder):
            require_sound(found.folder, name=found.name, allow=allow or ())
        with warnings.catch_warnings():
            # MONAI warns at each run that configs hold code; the user has named this bundle.
            warnings.filterwarnings("ignore", message="parsing config_file")
            workflow = make_workflow(found.folder, configs, overrides)
    except (LookupError, OSError, ValueError) as error:
        raise typer.BadParameter(str(error.args[-1] if isinstance(error, LookupError) else error)) from error
    # From here on an error is one of the run, and all of it is shown.
    workflow.run()
    workflow.finalize()


def _split(words: list[str]) -> tuple[list[str], dict[str, Any]]:
    """Tell configs from overrides; values are read as MONAI's command line reads them."""
    from fire.parser import DefaultParseValue

    configs: list[str] = []
    overrides: dict[str, Any] = {}
    place = 0
    while place < len(words):
        word = words[place]
        place += 1
        if not word.startswith("--"):
            if overrides:
                raise ValueError(
                    f"{word!r} stands behind an override: name the configs first, and give each id one value"
                )
            configs.append(word)
            continue
        key, equals, value = word[2:].partition("=")
        if not equals:
            if place == len(words) or words[place].startswith("--"):
                raise ValueError(f"--{key} has no value")
            value = words[place]
            place += 1
        overrides[key] = DefaultParseValue(value)
    return configs, overrides


def _command(folder: str, files: list[str], overrides: dict[str, Any]) -> str:
    named = "[" + ",".join(f"'{file}'" for file in files) + "]"
    quoted = f'"{named}"' if not set(named) & set('"$`\\!') else shlex.quote(named)
    words = ["--bundle_root", folder]
    for key, value in overrides.items():
        words += [f"--{key}", value if isinstance(value, str) else json.dumps(value)]
    return f"python -m monai.bundle run --config_file {quoted} {shlex.join(words)}"
