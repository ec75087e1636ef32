# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""``radbundles windows``: where the entities of each report lie in its image."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from radbundles.cli.app import app

_HELP = """Place the context window of each image where a trained ECAMP looks for the entities of its report.

MODEL is the OUTPUT_DIR of a run of ecamp_pretrain, its model.pt, a bundle of radbundles pack, or, with --tokenizer, a
folder of radbundles convert. The next training reads the file by --windows OUT; the datalist stays as it is.

Images that cannot be read keep the window in the middle and are named in OUT.failures.jsonl.

Exit code 0: all rows done; 1: some rows failed and are listed beside the output; 2: nothing could be done.

Example:

radbundles windows runs/ecamp data/datalist.json --out data/windows.jsonl
"""


@app.command("windows", help=_HELP)
def windows(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A trained ECAMP.", show_default=False)],
    datalist: Annotated[Path, typer.Argument(metavar="DATALIST", help="JSON or JSON Lines datalist with reports.")],
    out: Annotated[Path, typer.Option(help="JSON Lines file to write.")],
    dataset_dir: Annotated[
        Path | None, typer.Option(help="Folder that image paths are relative to; by default the datalist's.")
    ] = None,
    distilled: Annotated[
        Path | None, typer.Option(help="File of radbundles distill: its sentences are read before each report.")
    ] = None,
    tokenizer: Annotated[Path | None, typer.Option(help="tokenizer.json, where MODEL comes without.")] = None,
    entities: Annotated[
        str | None, typer.Option(help="Entity list: chest, fundus or a JSON file; by default the run's, or chest.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images at a time.")] = 16,
    device: Annotated[str | None, typer.Option(help="Such as cpu or cuda:0; by default a GPU if there is one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """See ``_HELP``."""
    from tqdm import tqdm

    from radbundles.components.distillation.job import count_items
    from radbundles.components.inference import load_trained_ecamp, report_attention_transform, write_windows

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # readers warn of harmless oddities of files; what matters is a fault
        try:
            trained = load_trained_ecamp(model, tokenizer=tokenizer, entities=entities, device=device)
            transform = report_attention_transform(
                tokenizer_file=trained.tokenizer,
                image_size=trained.network.image_size,
                max_length=trained.network.max_length,
                entities=trained.entities,
                mean=trained.pixel_mean,
                std=trained.pixel_std,
                distilled=distilled,
            )
            # On stderr, and only for a terminal.
            total = count_items(datalist) if sys.stderr.isatty() else None
            with tqdm(total=total, unit=" images", disable=None) as bar:
                summary = write_windows(
                    trained.network,
                    datalist,
                    out,
                    transform=transform,
                    base_dir=dataset_dir,
                    batch_size=batch_size,
                    source=trained.sha256[:12],
                    progress=bar.update,
                )
        except (OSError, ValueError) as error:
            raise typer.BadParameter(str(error)) from error
    if as_json:
        typer.echo(json.dumps(summary, indent=4))
    else:
        _print(summary)
    if summary["failures"]:
        raise typer.Exit(1)


def _print(summary: dict[str, Any]) -> None:
    typer.echo(f"{summary['out']}: {summary['items']:,} items, {summary['items_per_second']:,.0f} a second")
    typer.echo(f"placed by attention: {summary['annotated']:,}, without entity: {summary['without_entity']:,}")
    typer.echo("how often where, as the places lie in the image:")
    for row in summary["places"]:
        typer.echo("".join(f"{count:>10,}" for count in row))
    if summary["failures"]:
        typer.secho(f"failed: {summary['failures']:,}, see {summary['failures_out']}", fg="red", err=True)
