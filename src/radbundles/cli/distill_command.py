# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""``radbundles distill``: short sentences on the entities of each report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from radbundles.cli.app import app


@app.command()
def distill(
    datalist: Annotated[Path, typer.Argument(metavar="DATALIST", help="JSON or JSON Lines datalist with reports.")],
    out: Annotated[Path, typer.Option(help="JSON Lines file to write.")],
    entities: Annotated[str, typer.Option(help="Entity list: chest, fundus or a JSON file.")] = "chest",
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Distill each report into "There is X.", "There may be X." and "There is no X.".

    Exit code 0: all rows done; 1: some rows failed and are listed beside the output; 2: nothing could be done.
    """
    from tqdm import tqdm

    from radbundles.components.distillation import RuleDistiller, distill_datalist

    try:
        distiller = RuleDistiller(entities)
        with tqdm(unit=" reports", disable=None) as bar:  # on stderr, and only for a terminal
            summary = distill_datalist(datalist, out, distiller, progress=bar.update)
    except (OSError, ValueError) as error:
        raise typer.BadParameter(str(error)) from error
    if as_json:
        typer.echo(json.dumps(summary, indent=4))
    else:
        mix = ", ".join(f"{count:,} {name}" for name, count in summary["certainty"].items())
        typer.echo(f"{summary['out']}: {summary['reports']:,} reports, {summary['reports_per_second']:,.0f} a second")
        typer.echo(f"{summary['sentences']:,} sentences: {mix}")
        typer.echo(f"without report: {summary['without_report']:,}, without entity: {summary['without_entity']:,}")
        if summary["failures"]:
            typer.secho(f"failed: {summary['failures']:,}, see {summary['failures_out']}", fg="red", err=True)
    if summary["failures"]:
        raise typer.Exit(1)
