# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""``radbundles publish``: a version of a bundle on the Hugging Face Hub."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from radbundles.cli.app import app

if TYPE_CHECKING:
    from radbundles.components.publish import Published

_HELP = """Publish a version of a bundle on the Hugging Face Hub, whole or not at all.

Without --upload nothing is sent: the bundle is verified, and every file that would be sent is listed.

Exits with 1 if the bundle must not be published as it is, or the Hub does not take it.

Example:

radbundles publish runs/edema/bundle my-group/edema_classification --upload
"""


@app.command("publish", help=_HELP)
def publish(
    bundle: Annotated[str, typer.Argument(help="Name or folder of the bundle.", show_default=False)],
    repository: Annotated[str, typer.Argument(metavar="ORG/NAME", help="Where on the Hub.", show_default=False)],
    upload: Annotated[bool, typer.Option("--upload", help="Send it (HF_TOKEN or `hf auth login`).")] = False,
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    have_permission: Annotated[
        bool,
        typer.Option("--have-permission", help="The owners of the data allow you to publish weights trained on it."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """See ``_HELP``."""
    from radbundles.components.hub.bundles import find_bundle
    from radbundles.components.publish import PublishError, publish_bundle

    try:
        folder = find_bundle(bundle).folder
    except (LookupError, NotADirectoryError) as error:
        raise typer.BadParameter(str(error.args[-1])) from error
    _show_progress_on_a_terminal_alone()
    try:
        published = publish_bundle(
            folder, repository, dry_run=not upload, private=private, have_permission=have_permission
        )
    except (OSError, PublishError, ValueError) as error:
        typer.secho(f"Not published: {error}", fg="red", err=True)
        raise typer.Exit(1) from error
    if as_json:
        typer.echo(json.dumps(published.as_dict(), indent=4))
    else:
        _print(published)


def _show_progress_on_a_terminal_alone() -> None:
    from huggingface_hub.utils import disable_progress_bars

    if sys.stderr.isatty():
        typer.echo("Verifying the bundle, which trains it for a moment ...", err=True)
    else:
        disable_progress_bars()


def _print(published: Published) -> None:
    typer.secho(f"{published.repo_id} {published.version}", bold=True)
    for file in published.files:
        typer.echo(f"  {file.bytes:>14,}  {file.sha256[:12]}  {file.path}")
    typer.echo(f"  {published.bytes:>14,}  bytes in {len(published.files)} files")
    if published.left_out:
        typer.secho("Left out", bold=True)
        for path, why in published.left_out:
            typer.echo(f"  {path}: {why}")
    for check, result in published.checks.items():
        if result != "passed":
            typer.echo(f"{check} {result}")
    if not published.weights:
        typer.echo("This is a recipe: configs to train by, without weights.")
    if published.commit is None:
        typer.echo("Nothing was sent. Send it with --upload.")
    else:
        typer.echo(f"Published: commit {published.commit}, tag {published.version}")
        typer.echo(f"Get it: radbundles download {published.repo_id} --revision {published.version}")
