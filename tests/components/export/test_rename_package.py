# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Source keeps every character but the package's name in imports and names of components."""

from __future__ import annotations

import pytest

from radbundles.components.export.import_closure import ImportClosure
from radbundles.components.export.rename_package import rename_package

SOURCE = '''\
"""Says radbundles.networks in prose, and ümlauts before code."""
import radbundles
from radbundles.networks import (  # radbundles
    ViTEncoder,
)
ü = "ä"; TARGET = "radbundles.networks.ViTEncoder"
FILE = "radbundles.json"


def late() -> str:
    from radbundles.components.hub import load_weights
    return f"radbundles {radbundles.__version__}"
'''


def renamed(source: str) -> str:
    return rename_package(source, "scripts", is_public=ImportClosure(()).is_public)


def test_imports_and_targets_change_and_nothing_else() -> None:
    expected = SOURCE.replace("import radbundles\n", "import scripts as radbundles\n")
    expected = expected.replace("from radbundles.", "from scripts.").replace(
        '"radbundles.networks.ViT', '"scripts.networks.ViT'
    )
    assert renamed(SOURCE) == expected


@pytest.mark.parametrize(
    "source", ["import radbundles.networks", "import os, radbundles", "import radbundles as rb", "radbundles.require"]
)
def test_what_a_copy_cannot_follow_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match="cannot rename"):
        renamed(source)


def test_closure_takes_only_what_is_needed() -> None:
    closure = ImportClosure(["radbundles.networks.ViTEncoder"])
    assert "radbundles.networks.vit_encoder" in closure.modules
    assert not [name for name in closure.modules if not name.startswith("radbundles.networks.")]
    assert closure.exports["radbundles.networks"] == {"ViTEncoder"}
    assert closure.packages == ["radbundles", "radbundles.networks"]
    assert closure.reexports("radbundles.networks").startswith("from radbundles.networks.vit_encoder import ViTEncoder")
    assert "torch" in closure.third_party and "transformers" not in closure.third_party


def test_names_that_load_late_are_found_too() -> None:
    closure = ImportClosure(["radbundles.components.data.SeededDataset"])
    assert "radbundles.components.data.seeded" in closure.modules


def test_what_only_type_checkers_import_is_left_out() -> None:
    closure = ImportClosure(["radbundles.components.hub.load_weights"])
    assert not [name for name in closure.modules if "export" in name or "zero_shot" in name]
    assert "radbundles.networks.checkpoint_file" in closure.modules, "imported within the function"


def test_function_of_a_file_of_the_same_name_is_exported() -> None:
    closure = ImportClosure(["radbundles.networks.build_encoder"])
    assert closure.exports["radbundles.networks"] == {"build_encoder"}
    assert "radbundles.networks.build_encoder" in closure.modules


@pytest.mark.parametrize("name", ["radbundles.networks.vit_encoder.Nothing", "radbundles.Nothing", "monai.networks"])
def test_what_there_is_not_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is no public name"):
        ImportClosure([name])
