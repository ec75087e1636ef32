# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""``radbundles vendor``: a bundle that brings the code it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radbundles.cli.app import app

_HELP = """Copy a bundle with the code it needs, to run it where radbundles cannot be installed.

The copy has a folder scripts, and its configs name what is in it. Its README says what else it needs and how to run it.
Where radbundles can be installed, the bundle as it is serves better: it works from any folder, beside other bundles,
and its code is mended with the package.

Example:

radbundles vendor run/bundle --out copy
"""


@app.command("vendor", help=_HELP)
def vendor(
    bundle: Annotated[str, typer.Argument(help="Name or folder of a bundle.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder to make.")],
) -> None:
    """See ``_HELP``."""
    from radbundles.components.export import vendor_bundle
    from radbundles.components.hub.bundles import find_bundle

    try:
        made = vendor_bundle(find_bundle(bundle).folder, out)
    except (LookupError, OSError, ValueError) as error:
        raise typer.BadParameter(str(error.args[-1] if isinstance(error, LookupError) else error)) from error
    typer.echo(f"{made.folder}: {len(made.modules)} modules and {len(made.data)} data files in scripts")
    typer.echo(f"Other packages it needs: {', '.join(f'{name} {number}' for name, number in made.packages.items())}")
    typer.echo(f"How to run it: {made.folder / 'docs' / 'README.md'}")
