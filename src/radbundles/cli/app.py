# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The typer application that the command files add themselves to."""

from __future__ import annotations

import typer

app = typer.Typer(name="radbundles", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
data_app = typer.Typer(no_args_is_help=True, help="Make and check datalists.")
tokenizer_app = typer.Typer(no_args_is_help=True, help="Tokenizers for radiology reports.")
app.add_typer(data_app, name="data")
app.add_typer(tokenizer_app, name="tokenizer")
