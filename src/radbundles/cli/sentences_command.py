# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""``radbundles sentences``: the sentences of each report with their labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from radbundles.cli.app import app


@app.command()
def sentences(
    datalist: Annotated[Path, typer.Argument(metavar="DATALIST", help="JSON or JSON Lines datalist.")],
    out: Annotated[Path, typer.Option(help="JSON Lines file to write.")],
    table: Annotated[str, typer.Option(help="Label table: findings, chexpert or a JSON file.")] = "findings",
    chexbert: Annotated[
        Path | None, typer.Option(help="CheXbert table of labeled sentences; none: labels are read by rules.")
    ] = None,
    minimum_tokens: Annotated[int, typer.Option(min=1, help="Tokens of the shortest sentence to keep.")] = 5,
    drop_short: Annotated[
        bool, typer.Option("--drop-short", help="Leave out every shorter sentence, also one that says something.")
    ] = False,
    complete: Annotated[
        bool, typer.Option("--complete", help="Let reports label the classes that an item's labels leave unknown.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Cut each report into sentences and label them in the classes of a label table.

    Exit code 0: all rows done; 1: some rows failed and are listed beside the output; 2: nothing could be done.
    """
    from tqdm import tqdm

    from radbundles.components.sentences import label_sentences

    try:
        with tqdm(unit=" items", disable=None) as bar:  # on stderr, and only for a terminal
            summary = label_sentences(
                datalist,
                out,
                table=table,
                chexbert=chexbert,
                minimum_tokens=minimum_tokens,
                keep_short=not drop_short,
                complete=complete,
                progress=bar.update,
            )
    except (OSError, ValueError) as error:
        raise typer.BadParameter(str(error)) from error
    if as_json:
        typer.echo(json.dumps(summary, indent=4))
    else:
        mix = ", ".join(f"{count:,} {name}" for name, count in summary["values"].items())
        typer.echo(f"{summary['out']}: {summary['reports']:,} reports, {summary['reports_per_second']:,.0f} a second")
        typer.echo(f"{summary['sentences']:,} sentences, labels: {mix}")
        typer.echo(f"from labels alone: {summary['templates']:,}, without a sentence: {summary['without_sentence']:,}")
        if summary["not_listed"]:
            typer.echo(f"sentences that are not in {chexbert}, left out: {summary['not_listed']:,}")
        if summary["unknown_labels"]:
            typer.echo(f"labels that {table} does not know: {', '.join(summary['unknown_labels'])}")
        if summary["failures"]:
            typer.secho(f"failed: {summary['failures']:,}, see {summary['failures_out']}", fg="red", err=True)
    if summary["failures"]:
        raise typer.Exit(1)
