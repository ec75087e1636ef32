# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""``radbundles list``: the bundles that this machine knows."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from radbundles.cli.app import app


@app.command("list")
def list_bundles(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
    path: Annotated[
        str | None, typer.Option("--path", metavar="NAME", help="Print the folder of one bundle, and nothing else.")
    ] = None,
) -> None:
    """List the bundles of this package and of the folders in RADBUNDLES_PATH.

    A command that runs a bundle wants its folder: BUNDLE=$(radbundles list --path ecamp_classification)
    """
    from radbundles.components.hub.bundles import find_bundle, find_bundles
    from radbundles.components.hub.printable import printable

    if path is not None:
        try:
            typer.echo(find_bundle(path).folder)
        except (LookupError, OSError) as error:
            raise typer.BadParameter(str(error.args[-1])) from error
        return
    try:
        bundles = [bundle.summary() for bundle in find_bundles()]
    except NotADirectoryError as error:
        raise typer.BadParameter(str(error)) from error
    if as_json:
        typer.echo(json.dumps(bundles, indent=4))
        return
    if not bundles:
        typer.echo("No bundles found: set RADBUNDLES_PATH to a folder that holds some.")
    for bundle in bundles:
        typer.secho(
            f"{printable(bundle['name'])} {printable(bundle['version'] or '(no version)')}", bold=True, nl=False
        )
        typer.echo(f"  from {bundle['origin']}: {bundle['folder']}")
        for key in ("task", "description", "fault"):
            if bundle[key]:
                typer.echo(f"    {key}: {printable(bundle[key], most=2000)}")
        typer.echo(f"    weights: {bundle['weights'] or 'none'}")
