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

    Which method and stage it is of is told by the names of its tensors. Of DCXFM's second stage, the published
    configuration is taken for what leaves no trace in tensors; for another, call
    radbundles.networks.convert_dcxfm_dense_checkpoint.
    """
    from radbundles.networks import (
        convert_dcxfm_checkpoint,
        convert_dcxfm_dense_checkpoint,
        convert_ecamp_checkpoint,
        save_dcxfm,
        save_ecamp,
    )
    from radbundles.networks.checkpoint_file import read_checkpoint
    from radbundles.networks.dcxfm_checkpoint import is_dcxfm_checkpoint
    from radbundles.networks.dcxfm_dense_checkpoint import is_dcxfm_dense_checkpoint

    try:
        content = read_checkpoint(checkpoint)
        if is_dcxfm_dense_checkpoint(content):
            method, save = "DCXFM with masks", save_dcxfm
            state_dict, report = convert_dcxfm_dense_checkpoint(checkpoint, text_heads=text_heads or 12)
        elif is_dcxfm_checkpoint(content):
            method, save = "DCXFM", save_dcxfm
            state_dict, report = convert_dcxfm_checkpoint(checkpoint, text_heads=text_heads or 12)
        else:
            method, save = "ECAMP", save_ecamp
            state_dict, report = convert_ecamp_checkpoint(
                checkpoint, heads=heads, decoder_heads=decoder_heads, text_heads=text_heads or 6
            )
    except (FileNotFoundError, ValueError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    save(out, state_dict, report)
    dropped = [entry for entry in report["keys"] if entry["action"] == "dropped"]
    typer.echo(f"{method}, {len(report['keys'])} keys: ", nl=False)
    typer.echo(f"{len(state_dict)} converted, {len(dropped)} dropped")
    reasons: dict[str, list[str]] = {}
    for entry in dropped:
        reasons.setdefault(entry["reason"], []).append(entry["key"])
    for reason, keys in reasons.items():
        typer.echo(f"  dropped {keys[0]}{f' and {len(keys) - 1} more' if len(keys) > 1 else ''}: {reason}")
    if "position_tables" in report:
        typer.echo(f"position tables: {report['position_tables']}")
    typer.echo(f"written to {out}: model.safetensors, config.json, conversion_report.json")
