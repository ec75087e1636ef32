# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The card of a bundle: what its files say of it and what only people know, in the sections of MONAI's model zoo."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

from radbundles.components.cards.citation import bibtex
from radbundles.components.cards.data_tables import data_table
from radbundles.components.cards.performance import performance
from radbundles.components.cards.preprocessing import preprocessing_steps
from radbundles.components.cards.read_bundle import BundleFiles
from radbundles.components.cards.recipe import recipe_table
from radbundles.components.cards.sections import read_sections
from radbundles.components.cards.tensors import tensor_tables

BANNER = "Research software, not a medical device: nothing here is meant for clinical use."


def card_text(folder: Path) -> str:
    """Write the card of a bundle, which is its ``docs/README.md``; without front matter.

    The sections are those of the model zoo's template in its order. What files say is taken from them: metadata,
    ``inference.json`` and ``train.json`` (read, not run), the table of data sets, committed results. What they cannot
    say stands in ``docs/sections.md``, under headings of :data:`~radbundles.components.cards.sections.SECTIONS`.

    Args:
        folder: root of the bundle.

    Raises:
        OSError: ``configs/metadata.json`` is missing.
        ValueError: a file that the card is made of is faulty; the message names it and the key.
    """
    files = BundleFiles.read(folder)
    parts = [f"# {files.metadata.get('name') or files.folder.name}", BANNER]
    for title, blocks in _sections(files):
        kept = [block for block in blocks if block]
        if kept:
            parts += [f"## {title}", *kept]
    return "\n\n".join(parts) + "\n"


def _sections(files: BundleFiles) -> Iterator[tuple[str, list[str]]]:
    """Give title and blocks of each section; an empty block is left out, and so is a section without any."""
    metadata, written = files.metadata, read_sections(files.folder)
    yield "Authors", [_sentence(metadata.get("authors", ""))]
    yield "Tags", [", ".join(metadata.get("tags", ()))]
    said = written.get("Model Description") or metadata.get("description", "")
    yield "Model Description", [said, _weights(files, written.get("Without Weights", ""))]
    yield "Encoder Weights", [written.get("Encoder Weights", "")]
    yield "Intended Use", [metadata.get("intended_use", ""), written.get("Intended Use", "")]
    steps = [preprocessing_steps(files), written.get("Preprocessing", "")]
    heading = ["### Preprocessing"] if any(steps) else []
    yield "Data", [written.get("Data", ""), data_table(metadata), *heading, *steps]
    yield "Training Configuration", [recipe_table(files), written.get("Training Configuration", "")]
    yield "Input and Output", [tensor_tables(metadata)]
    yield "Performance", [performance(files), "" if files.has_weights else written.get("Performance", "")]
    yield "MONAI Bundle Commands", [written.get("MONAI Bundle Commands", "")]
    yield "System Configuration", [_versions(files), written.get("System Configuration", "")]
    yield "Limitations", [written.get("Limitations", "")]
    yield "Citation", [bibtex(metadata)]
    references = "\n".join(f"- {one}" for one in metadata.get("references", ()))
    yield "References", [references, written.get("References", "")]
    yield "License", [f"Code: {files.license}. Data and weights made from it keep their own terms: `data_license.txt`."]


def _weights(files: BundleFiles, without: str) -> str:
    if not files.has_weights:
        return _wrapped(f"This bundle holds no weights: it is a recipe. {without}")
    made_of = [one.name for role in ("trained_on", "starts_from") for one in files.data_sets.get(role, ())]
    if not made_of and "trained_on" in files.data_sets:
        return "This bundle holds weights, trained on made data alone."
    if not made_of:
        return _wrapped(
            "This bundle holds weights. What they were trained on is not stated: `data_sets#trained_on` of "
            "`configs/metadata.json` is the place."
        )
    return _wrapped(f"This bundle holds weights, made from {'; '.join(made_of)}.")


def _versions(files: BundleFiles) -> str:
    named = {"MONAI": "monai_version", "PyTorch": "pytorch_version", "NumPy": "numpy_version"}
    versions = [f"{name} {files.metadata[key]}" for name, key in named.items() if key in files.metadata]
    packages = files.metadata.get("required_packages_version") or {}
    versions += [f"{name} {version}" for name, version in packages.items()]
    return _wrapped(f"Made and tested with {', '.join(versions)}.") if versions else ""


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def _sentence(text: str) -> str:
    return text if not text or text.endswith(".") else f"{text}."
