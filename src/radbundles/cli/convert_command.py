# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""``radbundles convert``: official ECAMP and DCXFM weights to safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radbundles.cli.app import app


@app.command()
def convert(
    checkpoint: Annotated[Path, typer.Argument(help="Official checkpoint of ECAMP or DCXFM, or a bare state dict.")],
    out: Annotated[Path, typer.Option(help="Folder for model.safetensors, config.json and the report.")],
    heads: Annotated[int, typer.Option(help="Attention heads of the vision encoder (ECAMP).")] = 12,
    decoder_heads: Annotated[int, typer.Option(help="Attention heads of the image decoder (ECAMP).")] = 16,
    text_heads: Annotated[
        int | None, typer.Option(help="Attention heads of the text part. [default: 6 for ECAMP, 12 for DCXFM]")
    ] = None,
) -> None:
    """Convert an official checkpoint; every key is accounted for, or the command fails.

    Which method it is of is told by the names of its tensors.
    """
    from radbundles.networks.checkpoint_file import read_checkpoint
    from radbundles.networks.dcxfm_checkpoint import convert_dcxfm_checkpoint, is_dcxfm_checkpoint, save_dcxfm
    from radbundles.networks.ecamp_checkpoint import convert_ecamp_checkpoint, save_ecamp

    try:
        dcxfm = is_dcxfm_checkpoint(read_checkpoint(checkpoint))
        if dcxfm:
            state_dict, report = convert_dcxfm_checkpoint(checkpoint, text_heads=text_heads or 12)
        else:
            state_dict, report = convert_ecamp_checkpoint(
                checkpoint, heads=heads, decoder_heads=decoder_heads, text_heads=text_heads or 6
            )
    except (FileNotFoundError, ValueError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    (save_dcxfm if dcxfm else save_ecamp)(out, state_dict, report)
    dropped = [entry for entry in report["keys"] if entry["action"] == "dropped"]
    typer.echo(f"{'DCXFM' if dcxfm else 'ECAMP'}, {len(report['keys'])} keys: ", nl=False)
    typer.echo(f"{len(state_dict)} converted, {len(dropped)} dropped")
    reasons: dict[str, list[str]] = {}
    for entry in dropped:
        reasons.setdefault(entry["reason"], []).append(entry["key"])
    for reason, keys in reasons.items():
        typer.echo(f"  dropped {keys[0]}{f' and {len(keys) - 1} more' if len(keys) > 1 else ''}: {reason}")
    if not dcxfm:
        typer.echo(f"position tables: {report['position_tables']}")
    typer.echo(f"written to {out}: model.safetensors, config.json, conversion_report.json")
