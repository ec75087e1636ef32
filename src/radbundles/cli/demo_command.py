# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""``radbundles demo``: the whole path in a few minutes on a laptop."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radbundles.cli.app import app


@app.command()
def demo(
    data: Annotated[
        Path | None, typer.Option(help="Your own datalist (or a folder that holds datalist.json); none: phantoms.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for everything that is made.")] = Path("runs/demo"),
    count: Annotated[int, typer.Option(min=20, help="Number of phantoms.")] = 600,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Training epochs; none: as many as fit into five minutes.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 42,
    hide_text: Annotated[bool, typer.Option("--hide-text", help="Leave words of reports out of the page.")] = False,
) -> None:
    """Pre-train a small ECAMP and a small DCXFM on reports and images, and write a page that shows what they learned.

    Example: radbundles demo --data mydata/datalist.json --out runs/mine
    """
    import warnings

    if data is not None and data.is_dir():
        data = data / "datalist.json"
    if data is not None and not data.is_file():
        raise typer.BadParameter(f"no datalist at {data}: make one with `radbundles data build`", param_hint="--data")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        warnings.filterwarnings("ignore", message=".*nvImageCodec")
        from radbundles.demo.page import FIGURES, KEY_FIGURES, figure
        from radbundles.demo.pipeline import DataError, run_demo

        try:
            result = run_demo(
                out=out,
                datalist=data,
                count=count,
                seed=seed,
                epochs=epochs,
                show_text=not hide_text,
                say=lambda line: typer.secho(line, fg="blue"),
            )
        except DataError as error:
            typer.secho(str(error), fg="red", err=True)
            raise typer.Exit(1) from error
    width = max(len(FIGURES[name][0]) for name in KEY_FIGURES)
    for name in KEY_FIGURES:
        trained, untrained = (figure(name, metrics[name]) for metrics in (result.trained, result.untrained))
        typer.echo(f"{FIGURES[name][0]:<{width}}  trained {trained:>9}  untrained {untrained:>9}")
    for shown in [*result.grounding.key_figures, *(result.masks.key_figures if result.masks else ())]:
        typer.echo(f"{shown.label}  {shown.value}  baseline {shown.baseline}  ({shown.note})")
    typer.echo(
        "Ask it yourself: radbundles predict IMAGE --out found --phrase 'left effusion' --bundle "
        f"{result.grounding.packed}"
    )
    if result.masks:
        typer.echo(f"For masks: radbundles predict IMAGE --out found --class heart --bundle {result.masks.packed}")
    typer.secho(f"{result.page} ({result.seconds:.0f} s)", fg="green")
