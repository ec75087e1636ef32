# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The typer application that the command files add themselves to."""

from __future__ import annotations

from typing import Annotated

import typer

from radbundles import __version__

app = typer.Typer(name="radbundles", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
data_app = typer.Typer(no_args_is_help=True, help="Make and check datalists.")
tokenizer_app = typer.Typer(no_args_is_help=True, help="Tokenizers for radiology reports.")
app.add_typer(data_app, name="data")
app.add_typer(tokenizer_app, name="tokenizer")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"radbundles {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """MONAI bundles for medical vision-language imaging. Research software, not a medical device."""
