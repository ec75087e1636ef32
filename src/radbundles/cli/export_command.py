# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""``radbundles export``: the network of a bundle as one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from radbundles.cli.app import app

_HELP = """Write the network of a bundle as one file that needs neither the bundle nor this package.

The suffix of --out names the form: .pt2 (torch.export), .onnx (needs radbundles[onnx]) or .ts (TorchScript). The file
takes any number of images and gives pred; the JSON file beside it says how to prepare images and how to read pred. It
is compared with the network before it counts as made.

A bundle that did not come with this package is audited before anything of it runs (radbundles audit).

A bundle that is asked in words is exported with its question: --phrase and --class, or the classes of the bundle.

Example:

radbundles export run/bundle --out model.onnx

radbundles export mine --phrase "left pleural effusion" --class Cardiomegaly --out asked.pt2
"""


@app.command("export", help=_HELP)
def export(
    bundle: Annotated[str, typer.Argument(help="Name or folder of a bundle.", show_default=False)],
    out: Annotated[Path, typer.Option(help="File to write: .pt2, .onnx or .ts.")],
    phrases: Annotated[list[str] | None, typer.Option("--phrase", help="Words to look for; may be repeated.")] = None,
    classes: Annotated[
        list[str] | None, typer.Option("--class", help="Class of the prompt table; may be repeated.")
    ] = None,
    configs: Annotated[
        list[str] | None, typer.Option("--config", help="Overlay the weights were trained with, such as tiny.")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="In place of the bundle's own.")] = None,
    tokenizer: Annotated[Path | None, typer.Option(help="In place of the bundle's own.")] = None,
    opset: Annotated[int, typer.Option(min=18, help="Version of ONNX's operators.")] = 18,
    allow: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Let the audit pass this name; may be repeated.")
    ] = None,
) -> None:
    """See ``_HELP``."""
    from radbundles.components.export import ExportError, export_network
    from radbundles.components.hub.bundle_values import bundle_values
    from radbundles.components.hub.bundles import find_bundle
    from radbundles.components.hub.sound import is_shipped, require_sound

    try:
        found = find_bundle(bundle)
        if (phrases or classes) and not _asks_for_classes(found.folder):
            raise ValueError(
                f"bundle {found.name} answers for the classes it was trained on: leave out --phrase and --class"
            )
        values: dict[str, Any] = bundle_values(found, weights=weights, tokenizer=tokenizer, device=None)
        chosen = values.pop("weights")
        if not is_shipped(found.folder):
            require_sound(found.folder, name=found.name, allow=allow or ())
        if phrases or classes:
            values |= {"phrases": list(dict.fromkeys(phrases or ())), "classes": list(dict.fromkeys(classes or ()))}
        made = export_network(
            found.folder, out, configs=("inference", *(configs or ())), values=values, weights=chosen, opset=opset
        )
    except Exception as error:
        told: BaseException = error
        while not isinstance(told, ExportError) and told.__cause__ is not None:  # MONAI wraps what a config raises
            told = told.__cause__
        if not isinstance(told, (LookupError, OSError, ValueError, ImportError, ExportError)):
            raise
        raise typer.BadParameter(str(told.args[-1] if isinstance(told, LookupError) else told)) from error
    size = made.path.stat().st_size / 2**20
    typer.echo(f"{made.path}: {made.form}, {size:.1f} MiB, differs from the network by {made.parity:.1e} at most")
    typer.echo(f"How to prepare images and read pred: {made.path.with_suffix('.json')}")


def _asks_for_classes(folder: Path) -> bool:
    """Whether a bundle's question can be chosen."""
    import json

    return "zero_shot" in json.loads((folder / "configs" / "inference.json").read_text(encoding="utf-8"))
