# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The clean copy of a bundle that is published: what belongs to a bundle, and nothing that was left lying in it."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from radbundles.components.hub.manifest import MANIFEST, write_manifest

CARD = "README.md"
WEIGHTS = ("models/model.pt", "models/model.safetensors")
_FOLDERS = ("configs", "docs", "models")
# All that is published. What is not named here is not sent, whatever it is.
_TAKEN = tuple(
    re.compile(pattern)
    for pattern in (
        r"LICENSE",
        r"large_files\.(ya?ml|json)",
        r"configs/[^/]+\.(json|ya?ml)",
        r"configs/logging\.conf",
        r"docs/([^/.][^/]*/)*[^/.][^/]*\.(md|txt|json|csv|svg|png|jpe?g|bib)",
        r"models/model\.(pt|safetensors)",
        r"models/tokenizer\.json",
    )
)
# Why something else that is often found in the folder of a bundle stays behind; the first that fits is told.
_REASONS = (
    (rf"({re.escape(CARD)}|{re.escape(MANIFEST)})", "written anew"),
    (r"(.*/)?(\.git|\.cache|__pycache__|\.ipynb_checkpoints)/.*|.*\.py[co]", "a cache"),
    (r"eval/.*", "output of an evaluation"),
    (r"(.*/)?(runs|logs|mlruns|tensorboard)/.*|.*\.log|(.*/)?events\.out\.tfevents.*", "a log of a run"),
    (r".*\.(py|so|sh|ipynb)", "code, which a bundle of radbundles has none of"),
    (r"models/.*", "not the weights that inference.json loads"),
    (r"(.*/)?\.[^/]*", "a hidden file"),
    (r".*", "no part of a bundle"),
)


def stage_bundle(folder: Path, out: Path) -> tuple[tuple[str, str], ...]:
    """Copy a bundle for publication, and complete it: card, both forms of its weights, manifest.

    The files are chosen by a list of what a bundle consists of (MONAI's ``push_to_hf_hub`` sends all that lies in the
    folder, quirk F-7). The card at the root is ``docs/README.md`` behind front matter; ``docs`` itself has none. Where
    the card is made of ``docs/sections.md`` it is made anew, so that it is the card of these weights.

    Args:
        folder: root of the bundle, which stays as it is.
        out: folder to make; its name is that of the published bundle.

    Returns:
        Each file that was left out, with the reason.

    Raises:
        FileNotFoundError: if ``folder`` holds no bundle.
        ValueError: if a file that belongs to the bundle is a link, or its weights or texts are not what they should be.
    """
    from radbundles.components.cards import front_matter, write_cards
    from radbundles.components.publish.twin_weights import write_twin

    if not (folder / "configs" / "metadata.json").is_file():
        raise FileNotFoundError(f"no bundle at {folder}: configs/metadata.json is missing")
    left_out = []
    for path, file in _files(folder):
        taken = any(pattern.fullmatch(path) for pattern in _TAKEN)
        if file.is_symlink() and (taken or path in _FOLDERS):
            raise ValueError(f"{path} is a link: put a copy of what it leads to into {folder}")
        if not taken:
            left_out.append((path, next(why for pattern, why in _REASONS if re.fullmatch(pattern, path))))
        else:
            (out / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, out / path)
    write_twin(out / "models")
    if (out / "docs" / "sections.md").is_file():
        write_cards([out])
    card = out / "docs" / "README.md"
    if not card.is_file():
        raise ValueError("docs/README.md is missing: a bundle needs a card; `radbundles card` writes it")
    text = card.read_text(encoding="utf-8")
    if text.lstrip("\ufeff").startswith("---"):
        raise ValueError("docs/README.md starts with front matter: remove the block between its --- lines")
    (out / CARD).write_text(front_matter(out) + text, encoding="utf-8")
    write_manifest(out)
    return tuple(left_out)


def has_weights(folder: Path) -> bool:
    """Whether a bundle has weights, in itself or among the files that its ``large_files.yml`` names for download."""
    from radbundles.components.hub.bundle_config import ConfigFileError, read_config

    named: list[object] = []
    for path in folder.glob("large_files.*"):
        try:
            entries = read_config(path).content.get("large_files")
        except ConfigFileError:
            continue  # told by the checks of files
        named += [one.get("path") for one in entries if isinstance(one, dict)] if isinstance(entries, list) else []
    return any(name in named or (folder / name).is_file() for name in WEIGHTS)


def _files(folder: Path) -> list[tuple[str, Path]]:
    """Every file below a folder with its path there; links to folders count as files."""
    found = []
    for parent, folders, names in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        for name in (*names, *links):
            path = Path(parent, name)
            found.append((path.relative_to(folder).as_posix(), path))
    return sorted(found)
