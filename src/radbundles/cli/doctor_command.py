# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""``radbundles doctor``: whether everything that must fit together does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from radbundles.cli.app import app

if TYPE_CHECKING:
    from radbundles.components.hub.doctor import Diagnosis


@app.command()
def doctor(
    bundles: Annotated[
        list[str] | None, typer.Argument(metavar="BUNDLE", help="Names or folders of bundles; by default all.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Check packages, machine, DICOM codecs, bundles and weights; exit with 1 if something is broken."""
    from radbundles.components.hub.doctor import diagnose

    try:
        diagnosis = diagnose(bundles or ())
    except (LookupError, NotADirectoryError) as error:
        raise typer.BadParameter(str(error)) from error
    if as_json:
        typer.echo(json.dumps(diagnosis.as_dict(), indent=4))
    else:
        _print(diagnosis)
    if diagnosis.problems:
        raise typer.Exit(1)


def _print(diagnosis: Diagnosis) -> None:
    machine = diagnosis.machine
    memory = f"{machine.memory / 2**30:.1f} GiB memory" if machine.memory else "memory unknown"
    typer.secho(f"radbundles {diagnosis.radbundles}", bold=True, nl=False)
    typer.echo(f" on Python {machine.python}, {machine.system}, {machine.cores} cores, {memory}")
    typer.echo(f"GPU: {'; '.join(machine.gpus) or 'none, everything runs on the CPU'}")
    _heading("Packages")
    for package in diagnosis.packages:
        _row(package.fits, package.name, f"{package.installed or 'not installed':15}{package.required}")
    _heading("DICOM pixel data")
    for codec in diagnosis.codecs:
        how = ", ".join(codec.plugins) or ("uncompressed" if codec.decodable else codec.install or "")
        _row(codec.decodable, codec.keyword, f"{how} ({codec.limit})" if codec.limit else how)
    _heading("Bundles")
    for bundle in diagnosis.bundles:
        weights = bundle.weights
        size = f"weights of {weights.size / 2**20:.1f} MiB" if weights.size else "no weights"
        checksum = {True: ", checksum right", False: ", checksum WRONG", None: ""}[weights.verified]
        _row(not bundle.problems, bundle.name, f"{bundle.version}, from {bundle.origin}, {size}{checksum}")
    for title, lines in (("Notes", diagnosis.notes), ("Problems", diagnosis.problems)):
        if lines:
            _heading(title)
            for line in lines:
                typer.echo(f"  - {line}")
    typer.echo("\nNothing is broken." if not diagnosis.problems else f"\nBroken: {len(diagnosis.problems)}.")


def _heading(title: str) -> None:
    typer.secho(f"\n{title}", bold=True)


def _row(sound: bool, name: str, text: str) -> None:
    typer.secho(f"  {'ok' if sound else 'no':4}", fg="green" if sound else "red", nl=False)
    typer.echo(f"{name:32}{text}".rstrip())
