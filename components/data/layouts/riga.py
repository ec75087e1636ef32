# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""RIGA, Retinal fundus Images for Glaucoma Analysis, in the form with masks that results are published on.

The folder has ``Image``, ``FinalLabel`` and, for single raters, ``Rater1`` to ``Rater6``, each with the same tree
below: ``BinRushed/BinRushed1/image1.tif``, ``Magrabia/MagrabiaMale/image1.tif``, ``MESSIDOR/image1.tif``. A mask is
gray: black outside, gray in the rim of the optic disc, white in the cup. The original release draws the raters'
outlines into copies of the image (``image1-1.jpg`` beside ``image1prime.jpg``) and is not read here. Source: Almazroa
et al., SPIE Medical Imaging 2018; masks: Ji et al., MRNet, CVPR 2021.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from radbundles.components.data.fault import Fault
from radbundles.components.data.layouts.own_split import DEVELOPMENT, TEST
from radbundles.components.data.layouts.pictures import image_fields, read_levels

LICENSE = "RIGA, terms of use of Deep Blue Data; MESSIDOR, terms of use"
DISC, CUP = "optic disc", "optic cup"
# Levels are 0, 128 and 255; halfway between them lies what a lossy copy or an interpolation makes of an edge.
_LEVEL = {DISC: 64, CUP: 192}
_TEST_FOLDER = "Magrabia"
_SEX = {"magrabiamale": "M", "magrabifemale": "F", "magrabiafemale": "F"}
_SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg")
_GET = (
    "get the set with masks from https://github.com/jiwei0921/MRNet (the original at "
    "https://deepblue.lib.umich.edu/data/concern/data_sets/3b591905z has outlines in the images instead of masks)"
)


def read_riga(
    source: Path, *, rater: Literal["final", "1", "2", "3", "4", "5", "6"] = "final"
) -> Iterator[tuple[int, dict[str, Any] | Fault]]:
    """Read RIGA: 750 photographs with optic disc and cup by six raters.

    Masks are written as PNG, the disc with its cup inside. The official code takes as cup what is still purely white
    after the mask has been reduced, and loses its border (quirk Q34); here a level counts to the nearer of rim and cup.
    Photographs in TIFF are written as PNG too. The 95 of Magrabia are the test set, as in published results; the others
    are parted into training and validation. The set has no patients.

    Args:
        source: the folder.
        rater: the agreement of all six, or one of them.

    Yields:
        Running number of the image by path, and an item.

    Raises:
        FileNotFoundError: a folder is missing.
    """
    masks = "FinalLabel" if rater == "final" else f"Rater{rater}"
    for folder in ("Image", masks):
        if not (source / folder).is_dir():
            raise FileNotFoundError(f"{source} has no folder {folder}; {_GET}")
    files = sorted(path for path in (source / "Image").rglob("*") if path.suffix.lower() in _SUFFIXES)
    for row, path in enumerate(files, start=1):
        inside = path.relative_to(source / "Image")
        item: dict[str, Any] = {"id": inside.with_suffix("").as_posix(), "modality": "fundus", "source": "riga"}
        item |= {"license": LICENSE, "labels": {DISC: 1, CUP: 1}, "metadata": {"part": inside.parts[0]}}
        item["split"] = TEST if inside.parts[0] == _TEST_FOLDER else DEVELOPMENT
        sex = next((_SEX[part.lower()] for part in inside.parts if part.lower() in _SEX), None)
        if sex is not None:
            item["sex"] = sex
        item |= image_fields(source, path.relative_to(source).as_posix())
        mask = source / masks / inside
        item.setdefault("made", {})["masks"] = {name: partial(_structure, mask, name) for name in (DISC, CUP)}
        yield row, item


def _structure(path: Path, name: str) -> NDArray[np.bool_]:
    inside = read_levels(path) >= _LEVEL[name]
    if not inside.any():
        raise ValueError(f"{str(path)!r} has no {name}")
    return inside
