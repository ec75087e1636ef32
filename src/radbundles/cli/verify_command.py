# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""``radbundles verify``: whether bundles do what they promise."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from radbundles.cli.app import app

if TYPE_CHECKING:
    from radbundles.components.verify import Verdict

_READING = ("V1", "V2", "V3")  # checks that run nothing of the bundle
_HELP = """Verify bundles: their files, their configs, and what they do on made radiographs, without a network.

V1 files and license, V2 metadata, V3 every target, expression and reference of the configs, V4 every config
instantiates, V5 the network takes and gives what the metadata says, V6 it can be exported, V7 every tensor of the
weights loads, V8 training, evaluation and inference run.

V4 to V8 run what the bundle says, with two images, few steps and the small values of its configs/verify.json; a bundle
without that file gets V1, V2, V3, V5 and V7. A bundle that did not come with this package is audited before anything of
it runs (radbundles audit). --online also holds the metadata against the schema of MONAI that it names.

Exit code: 0 nothing is wrong, 1 something is, 2 nothing could be verified.

Example:

radbundles verify --all

radbundles verify my_bundle --check V3 --check V8
"""


@app.command("verify", help=_HELP)
def verify(
    bundles: Annotated[list[str] | None, typer.Argument(metavar="BUNDLE", help="Names or folders of bundles.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Verify all bundles that radbundles list shows.")] = False,
    checks: Annotated[list[str] | None, typer.Option("--check", metavar="V3", help="Make this check alone.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Bundles at a time, each on one core.")] = 2,
    online: Annotated[bool, typer.Option("--online", help="Fetch MONAI's schema and compare with it too.")] = False,
    allow: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Let the audit pass this name; may be repeated.")
    ] = None,
) -> None:
    """See ``_HELP``."""
    from radbundles.components.hub.bundles import find_bundle, find_bundles
    from radbundles.components.hub.sound import is_shipped, require_sound
    from radbundles.components.verify import CHECKS

    asked = [check.upper() for check in checks or CHECKS]
    try:
        if bool(bundles) == every:
            raise ValueError("name bundles, or say --all")
        folders = [find_bundle(name).folder for name in bundles or ()] or [found.folder for found in find_bundles()]
        if not folders:
            raise ValueError("there are no bundles: set RADBUNDLES_PATH to a folder that holds some")
        if unknown := sorted(set(asked) - set(CHECKS)):
            raise ValueError(f"there is no check {', '.join(unknown)}: name one of {', '.join(CHECKS)}")
        if not set(asked) <= set(_READING):
            for folder in folders:
                if not is_shipped(folder):
                    require_sound(folder, name=folder.name, allow=allow or ())
    except (LookupError, OSError, ValueError) as error:
        raise typer.BadParameter(str(error.args[-1])) from error
    verdicts = _verify(folders, asked, jobs, as_json, online)
    if as_json:
        typer.echo(json.dumps([verdict.as_dict() for verdict in verdicts], indent=4))
    if not all(verdict.passed for verdict in verdicts):
        raise typer.Exit(1)


def _verify(folders: list[Path], asked: list[str], jobs: int, as_json: bool, online: bool) -> list[Verdict]:
    from radbundles.components.verify import verify_bundles

    verdicts = []
    for verdict in verify_bundles(folders, checks=asked, jobs=jobs):
        if online:
            verdict = _with_official_schema(verdict)
        verdicts.append(verdict)
        if not as_json:
            _print(verdict)
    if not as_json and len(verdicts) > 1:
        wrong = sum(not verdict.passed for verdict in verdicts)
        typer.echo(f"{len(verdicts)} bundles verified, {wrong} with findings." if wrong else "Nothing is wrong.")
    return sorted(verdicts, key=lambda verdict: verdict.name)


def _with_official_schema(verdict: Verdict) -> Verdict:
    from radbundles.components.verify.official_schema import check_official_schema

    try:
        found = check_official_schema(verdict.folder)
    except (OSError, ValueError) as error:
        typer.echo(f"{verdict.name}: not compared with MONAI's schema: {error}", err=True)
        return verdict
    results = {**verdict.results, **({"V2": "failed"} if found else {})}
    return replace(verdict, findings=(*verdict.findings, *found), results=results)


def _print(verdict: Verdict) -> None:
    typer.secho("passed" if verdict.passed else "FAILED", fg="green" if verdict.passed else "red", nl=False)
    typer.secho(f"  {verdict.name} {verdict.version or '(no version)'}", bold=True, nl=False)
    made = [check for check, result in verdict.results.items() if not result.startswith("skipped")]
    typer.echo(f"  {' '.join(made)}  in {verdict.seconds:.0f} s")
    skipped: dict[str, list[str]] = {}
    for check, result in verdict.results.items():
        if result.startswith("skipped"):
            skipped.setdefault(result, []).append(check)
    for result, names in skipped.items():
        typer.echo(f"  {' '.join(names)} {result}")
    for finding in verdict.findings:
        typer.echo(f"  - {finding}")
