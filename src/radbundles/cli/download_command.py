# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""``radbundles download``: a bundle of the Hugging Face Hub as a folder."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated

import typer

from radbundles.cli.app import app

_HELP = """Download a bundle from the Hugging Face Hub, compare its files with its manifest, and audit it.

The folder appears whole, or not at all. Private bundles want HF_TOKEN, or a login by `hf auth login`.

Exit code: 0 downloaded, 1 refused, 2 not to be had.

Example:

radbundles download org/chest_xray_classification --revision 1.0.0 --out bundles/chest_xray_classification
"""


@app.command("download", help=_HELP)
def download(
    repo_id: Annotated[str, typer.Argument(metavar="ORG/NAME", help="Name on the Hub.", show_default=False)],
    revision: Annotated[
        str | None, typer.Option(help="Tag or commit; by default the newest commit, which may change.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to make; by default NAME.")] = None,
    allow: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Name that the audit shall let pass; may be repeated.")
    ] = None,
) -> None:
    """See ``_HELP``."""
    from radbundles.components.hub.download import fetch_bundle
    from radbundles.components.hub.printable import printable
    from radbundles.components.hub.sound import UnsoundError

    folder = out or Path(repo_id.rpartition("/")[2])
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", UserWarning)
            found = fetch_bundle(repo_id, revision=revision, out=folder, allow=allow or ())
    except UnsoundError as error:
        typer.secho(str(error), fg="red", err=True)
        raise typer.Exit(1) from None
    except (OSError, ValueError) as error:
        raise typer.BadParameter(str(error)) from None
    for warning in told:
        if issubclass(warning.category, UserWarning):
            typer.secho(str(warning.message), fg="yellow", err=True)
    if not found.listed:
        typer.secho(f"{repo_id} has no manifest.json: its files were compared with nothing", fg="yellow", err=True)
    typer.echo(f"{found.folder}: {repo_id} {printable(found.version or '(no version)')}, commit {found.commit}")
