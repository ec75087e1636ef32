# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""``radbundles pack``: a training run as a bundle that answers by itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from radbundles.cli.app import app

_HELP = """Make a bundle of a training run: its weights, its tokenizer, and the configuration they belong to.

A training run on labels, masks or boxes packs itself, into OUTPUT_DIR/bundle.

Example:

radbundles pack dcxfm_pretrain --config train --config tiny --weights run/model.pt --tokenizer data/tokenizer.json
--out mine
"""


@app.command("pack", help=_HELP)
def pack(
    bundle: Annotated[str, typer.Argument(help="Name or folder of the bundle that was trained.", show_default=False)],
    weights: Annotated[Path, typer.Option(help="model.pt of the run.")],
    tokenizer: Annotated[Path, typer.Option(help="tokenizer.json of the run, or the folder of its text encoder.")],
    out: Annotated[Path, typer.Option(help="Folder of the new bundle, which takes its name.")],
    configs: Annotated[
        list[str] | None, typer.Option("--config", help="Configs of the run in their order; by default train.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="ID=VALUE", help="Values the run was started with.")
    ] = None,
    allow: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Let the audit pass this name; may be repeated.")
    ] = None,
) -> None:
    """See ``_HELP``."""
    from radbundles.components.hub.bundle_values import asks_in_words
    from radbundles.components.hub.bundles import find_bundle
    from radbundles.components.hub.pack import pack_bundle
    from radbundles.components.hub.sound import is_shipped, require_sound

    try:
        found = find_bundle(bundle)
        if not asks_in_words(found):
            raise ValueError(f"bundle {found.name} has no tokenizer to pack: its training run makes OUTPUT_DIR/bundle")
        if not is_shipped(found.folder):
            require_sound(found.folder, name=found.name, allow=allow or ())
        packed = pack_bundle(
            found.folder,
            configs or ["train"],
            out,
            weights=weights,
            tokenizer=tokenizer,
            overrides=dict(_override(text) for text in overrides or ()),
        )
    except (LookupError, OSError, ValueError) as error:
        raise typer.BadParameter(str(error.args[-1] if isinstance(error, LookupError) else error)) from error
    typer.echo(f"{packed}: weights of {(packed / 'models' / 'model.pt').stat().st_size / 2**20:.1f} MiB load")
    typer.echo(f'Ask it: radbundles predict IMAGE --phrase "pleural effusion" --bundle {packed} --out found')


def _override(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--set must be ID=VALUE, not {text!r}")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value
