# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The console command ``radbundles``."""

from __future__ import annotations


def main() -> None:
    """Entry point of the console script."""
    import importlib

    from radbundles.cli.app import app

    for name in ("data", "distill", "tokenizer", "convert", "doctor", "list", "demo"):
        importlib.import_module(f"radbundles.cli.{name}_command")
    app()
