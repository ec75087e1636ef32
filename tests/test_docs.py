# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The documentation names every part there is, and every place it sends a reader to exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PATH = re.compile(r"`((?:bundles|components|docs|losses|networks|src|tests|transforms)/[\w./]+)`")
LINK = re.compile(r"\]\(([\w./-]+)\)")


def test_reference_names_every_subpackage_of_components(repository: Path) -> None:
    page = (repository / "docs" / "api" / "components.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"automodule:: radbundles\.components\.(\w+)", page))
    assert documented == {path.parent.name for path in (repository / "components").glob("*/__init__.py")}


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "docs/extending.md"])
def test_named_places_exist(name: str, repository: Path) -> None:
    text = (repository / name).read_text(encoding="utf-8")
    roots = (repository, *(repository / "bundles").iterdir())  # a bundle's files are named from its own root
    absent = [place for place in PATH.findall(text) if not any((root / place).exists() for root in roots)]
    absent += [link for link in LINK.findall(text) if not (repository / name).parent.joinpath(link).exists()]
    assert not absent
