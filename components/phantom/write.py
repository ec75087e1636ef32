# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A folder of phantoms: PNG and DICOM images, masks, and the datalist that describes them."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from radbundles.components.phantom.dicom import save_dicom
from radbundles.components.phantom.findings import NAMES
from radbundles.components.phantom.patient import draw_patient
from radbundles.components.phantom.render import render_phantom
from radbundles.components.phantom.report import write_report

_FORMATS = ("png", "dicom")
# every fifth film is a second study of the patient before it
_RETURN = 5
_COLUMNS = ("image", "patient", "sex", "age", "view")
_GOLDEN = (math.sqrt(5) - 1) / 2


def _patient_of(index: int) -> tuple[int, int]:
    """Number of the patient and of the study of item ``index``, both from 0."""
    group, place = divmod(index, _RETURN)
    return group * (_RETURN - 1) + min(place, _RETURN - 2), int(place == _RETURN - 1)


def _section_of(patient: int, seed: int, splits: Sequence[float]) -> str:
    """Split of a patient. Multiples of the golden ratio keep every share near its aim after any number of patients."""
    start = np.random.default_rng([seed, 1]).random()
    u = (start + patient * _GOLDEN) % 1 * sum(splits)
    return "training" if u < splits[0] else "validation" if u < splits[0] + splits[1] else "test"


def write_item(index: int, *, out_dir: Path, seed: int, size: int, formats: Sequence[str]) -> dict[str, Any]:
    """Write image and masks of item ``index``, which depends on ``seed`` and ``index`` alone, and return the item."""
    number, visit = _patient_of(index)
    who = draw_patient(np.random.default_rng([seed, 2, number]))
    film, words, coding = np.random.default_rng([seed, 3, index]).spawn(3)
    phantom = render_phantom(film, size, patient=who)
    report = write_report(phantom, words)
    name = f"phantom-{seed}-{index:06d}"
    patient = f"phantom-{seed}-p{number:06d}"
    study = f"{patient}-{visit + 1}"
    form = formats[index % len(formats)]
    image = f"images/{name}.{'png' if form == 'png' else 'dcm'}"
    if form == "png":
        pixels = np.rint(phantom.image * 255).astype(np.uint8)
        Image.fromarray(pixels).save(out_dir / image, compress_level=1)
    else:
        save_dicom(out_dir / image, phantom, coding, patient=patient, study=study, instance=name)
    masks = {}
    for structure, mask in sorted(phantom.masks.items()):
        masks[structure] = f"masks/{name}-{structure.replace(' ', '-')}.png"
        Image.fromarray(mask).save(out_dir / masks[structure], compress_level=1)
    return {
        "id": name,
        "image": image,
        "patient": patient,
        "study": study,
        "view": phantom.exam.view,
        "modality": "CXR",
        "sex": who.sex,
        "age": who.age,
        "report": report.sections,
        "labels": phantom.labels,
        "masks": masks,
        "boxes": dict(sorted(phantom.boxes.items())),
        "phrases": report.phrases,
        "size": [size, size],
        "license": "CC0-1.0",
        "source": "radbundles-phantom",
        "metadata": phantom.attributes | {f"reported {key}": value for key, value in report.reported.items()},
    }


def _with_table(
    rows: Iterator[tuple[str, dict[str, Any]]], writer: csv.DictWriter[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Pass items on, and write each into a table as an archive might export it."""
    writer.writeheader()
    for section, item in rows:
        writer.writerow({key: item[key] for key in _COLUMNS} | item["labels"])
        yield section, item


def write_phantoms(
    out_dir: str | Path,
    *,
    count: int,
    seed: int,
    size: int = 512,
    formats: Sequence[str] = _FORMATS,
    workers: int = 0,
    splits: tuple[float, float, float] = (0.7, 0.15, 0.15),
) -> Path:
    """Write ``count`` phantoms as a dataset.

    The same arguments give the same bytes on one machine; item ``k`` depends on ``seed`` and ``k`` alone, so a longer
    dataset begins with the shorter one. The datalist is written last: where it exists, the dataset is whole.
    ``findings.csv`` has the same labels as a table: 1 present, 0 absent, -1 uncertain.

    Args:
        out_dir: folder to write to; made if missing. Files of an earlier run with the same seed are replaced.
        count: number of images.
        seed: seed, 0 or more.
        size: pixels a side, at least 64.
        formats: image formats to take turns with, of ``"png"`` (8 bits) and ``"dicom"`` (12 bits).
        workers: processes to share the work; 0 works in this process.
        splits: shares of patients for training, validation and test.

    Returns:
        Path of ``datalist.json``.

    Raises:
        ValueError: an argument is out of range.
    """
    if count < 1 or seed < 0 or size < 64 or workers < 0:
        raise ValueError(
            "count must be at least 1, seed and workers at least 0, size at least 64: "
            f"got count={count}, seed={seed}, workers={workers}, size={size}"
        )
    if not formats or any(form not in _FORMATS for form in formats):
        raise ValueError(f"formats must be one or more of {', '.join(_FORMATS)}, got {list(formats)}")
    if len(splits) != 3 or min(splits) < 0 or sum(splits) <= 0:
        raise ValueError(f"splits must be three shares that are not negative and not all 0, got {splits}")
    # not at the top, which the worker processes import and which should start quickly
    from radbundles.components.data.datalist import write_datalist

    out_dir = Path(out_dir)
    path = out_dir / "datalist.json"
    for folder in ("images", "masks"):
        (out_dir / folder).mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)

    write = partial(write_item, out_dir=out_dir, seed=seed, size=size, formats=tuple(formats))
    with ExitStack() as stack:
        items: Iterator[dict[str, Any]] = map(write, range(count))
        if workers:
            # fresh processes: a fork of a process with running threads may hang
            pool = stack.enter_context(ProcessPoolExecutor(workers, mp_context=get_context("spawn")))
            items = pool.map(write, range(count), chunksize=max(1, min(32, count // (4 * workers))))
        rows = ((_section_of(_patient_of(index)[0], seed, splits), item) for index, item in enumerate(items))
        table = stack.enter_context((out_dir / "findings.csv").open("w", encoding="utf-8", newline=""))
        told = _with_table(rows, csv.DictWriter(table, [*_COLUMNS, *NAMES], lineterminator="\n"))
        write_datalist(path, told, name="RadBundles phantom", label_names=NAMES)
    return path
