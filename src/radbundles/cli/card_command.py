# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""``radbundles card``: the card of a bundle, out of its files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radbundles.cli.app import app

_HELP = """Write the card of bundles, docs/README.md, and docs/data_license.txt beside it.

Both come out of the bundle's files: metadata, configs, results, the table of data sets, and docs/sections.md, which
people write. Exit code 0: written, or all are as they should be; 1: --check found some that are not; 2: a file is
faulty.

Example:

radbundles card --all --check
"""


@app.command("card", help=_HELP)
def card(
    bundles: Annotated[
        list[str] | None, typer.Argument(help="Names or folders of bundles.", show_default=False)
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All bundles that `radbundles list` shows.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; show what is stale.")] = False,
    licenses: Annotated[
        Path | None, typer.Option(help="Also write, or check, the page of all data sets at this file.")
    ] = None,
) -> None:
    """See ``_HELP``."""
    from radbundles.components.cards import stale_cards, write_cards
    from radbundles.components.hub.bundles import find_bundle, find_bundles

    if (bundles and every) or not (bundles or every or licenses):
        raise typer.BadParameter("name bundles, or give --all, and not both")
    try:
        folders = (
            [one.folder for one in find_bundles()] if every else [find_bundle(one).folder for one in bundles or ()]
        )
        stale = stale_cards(folders, licenses=licenses) if check else {}
        written = [] if check else write_cards(folders, licenses=licenses)
    except (LookupError, OSError, ValueError) as error:
        raise typer.BadParameter(str(error.args[-1] if isinstance(error, LookupError) else error)) from error
    for difference in stale.values():
        typer.echo(difference, nl=False)
    if stale:
        typer.echo(f"{len(stale)} stale: run `radbundles card` without --check", err=True)
        raise typer.Exit(1)
    typer.echo("\n".join(f"{path}: written" for path in written) or "all are as they should be")
