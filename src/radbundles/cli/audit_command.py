# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""``radbundles audit``: what a bundle of others would run, read and load, told without running it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from radbundles.cli.app import app

if TYPE_CHECKING:
    from radbundles.components.audit import AuditReport


@app.command()
def audit(
    path: Annotated[str, typer.Argument(metavar="PATH", help="Folder of a bundle, or one file of it.")],
    allow: Annotated[
        list[str] | None,
        typer.Option("--allow", metavar="NAME", help="Let this exact name through: a target, a call, a file, ..."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Tell what a bundle of others would do, without running it; exit with 1 if it is refused."""
    from radbundles.components.audit import audit_bundle

    if not Path(path).exists():
        typer.secho(f"nothing to audit at {path}: name the folder of a bundle, or a file of one", fg="red", err=True)
        raise typer.Exit(2)
    report = audit_bundle(path, allow=allow or ())
    if as_json:
        typer.echo(json.dumps(report.as_dict(), indent=4))
    else:
        _print(report)
    if not report.passed:
        raise typer.Exit(1)


def _print(report: AuditReport) -> None:
    _heading("It would build")
    for origin, names in report.targets.items():
        typer.echo(f"  {origin:18}{', '.join(names)}")
    uses = sorted({use for names in report.expressions.values() for use in names})
    if uses:
        _heading(f"Its {len(report.expressions)} expressions use")
        typer.echo(f"  {', '.join(uses)}")
    if report.files:
        _heading("It names the paths and addresses")
        for path in report.files:
            typer.echo(f"  {path}")
    if report.weights:
        _heading("Weights")
        for weights in report.weights:
            imports = f", would import {', '.join(weights.globals)}" if weights.globals else ""
            typer.echo(f"  {weights.file}: {weights.kind}{', pickled' if weights.pickled else ''}{imports}")
    for level, title, color in (("refuse", "Refused", "red"), ("note", "Worth knowing", "yellow")):
        findings = [finding for finding in report.findings if finding.level == level]
        if findings:
            _heading(title)
            for finding in findings:
                typer.secho(f"  - {finding}", fg=color)
    if report.passed:
        typer.echo(
            "\nPassed: it names nothing that the audit does not know. What its weights have learned, it cannot say."
        )
    else:
        typer.echo(
            f"\nRefused: {len(report.refused)} findings. Do not run it, or allow by name what you have looked into."
        )


def _heading(title: str) -> None:
    typer.secho(f"\n{title}", bold=True)
