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
) -> None:
    """List the bundles of this package and of the folders in RADBUNDLES_PATH."""
    from radbundles.components.hub.bundles import find_bundles

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
        typer.secho(f"{bundle['name']} {bundle['version'] or '(no version)'}", bold=True, nl=False)
        typer.echo(f"  from {bundle['origin']}: {bundle['folder']}")
        for key in ("task", "description", "fault"):
            if bundle[key]:
                typer.echo(f"    {key}: {bundle[key]}")
        typer.echo(f"    weights: {bundle['weights'] or 'none'}")
