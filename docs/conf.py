# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Settings of the documentation, which `make docs` builds with warnings as errors."""

from __future__ import annotations

from radbundles import __version__

project = "RadBundles"
author = "RadBundles contributors"
copyright = author  # noqa: A001
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3

autodoc_member_order = "alphabetical"
# The packages re-export their public names, and those names are what users import and configs target.
autodoc_default_options = {"members": True, "imported-members": True, "show-inheritance": True}
autodoc_typehints_format = "short"
napoleon_google_docstring = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = f"RadBundles {__version__}"
