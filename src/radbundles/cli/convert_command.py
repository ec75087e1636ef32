# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""``radbundles convert``: official ECAMP weights to safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radbundles.cli.app import app


@app.command()
def convert(
    checkpoint: Annotated[Path, typer.Argument(help="Official ECAMP checkpoint (.pth) or bare state dict.")],
    out: Annotated[Path, typer.Option(help="Folder for model.safetensors, config.json and the report.")],
    heads: Annotated[int, typer.Option(help="Attention heads of the vision encoder.")] = 12,
    decoder_heads: Annotated[int, typer.Option(help="Attention heads of the image decoder.")] = 16,
    text_heads: Annotated[int, typer.Option(help="Attention heads of the text part.")] = 6,
) -> None:
    """Convert an official ECAMP checkpoint; every key is accounted for, or the command fails."""
    from radbundles.networks.ecamp_checkpoint import convert_ecamp_checkpoint, save_ecamp

    try:
        state_dict, report = convert_ecamp_checkpoint(
            checkpoint, heads=heads, decoder_heads=decoder_heads, text_heads=text_heads
        )
    except (FileNotFoundError, ValueError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    save_ecamp(out, state_dict, report)
    dropped = [entry for entry in report["keys"] if entry["action"] == "dropped"]
    typer.echo(f"{len(report['keys'])} keys: {len(state_dict)} converted, {len(dropped)} dropped")
    for entry in dropped:
        typer.echo(f"  dropped {entry['key']}: {entry['reason']}")
    typer.echo(f"position tables: {report['position_tables']}")
    typer.echo(f"written to {out}: model.safetensors, config.json, conversion_report.json")
