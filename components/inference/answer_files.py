# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Files with the answers about images: one of each image, and one table of all."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from radbundles.components.inference.output_files import file_name, write_record

NOTES = {
    True: "Research software. Probabilities were calibrated on the validation data of the training run, and may not "
    "hold for other data; none is a diagnosis. This is not a medical device.",
    False: "Research software. Nobody has calibrated these probabilities; none is a diagnosis. "
    "This is not a medical device.",
}


@cache
def answer_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the file of one image."""
    text = resources.files(__package__).joinpath("answer.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


class AnswerFiles:
    """Writes ``<image>.json``, as ``answer.schema.json`` says, and lines of a table.

    Each JSON file appears whole or not at all, after whatever else is written of its image. The table grows with the
    images, so that an interrupted job leaves the lines of those that were answered.

    Args:
        folder: where the files go.
        model: ``name`` and ``version`` of what answered.
        table: name of the CSV file.
        columns: its columns behind ``image``.

    Attributes:
        on_image: called with what is written of each image, if not None.

    Raises:
        ValueError: if model lacks its name or version.
    """

    def __init__(
        self, folder: str | os.PathLike[str], *, model: Mapping[str, str], table: str, columns: Sequence[str]
    ) -> None:
        if set(model) != {"name", "version"}:
            raise ValueError(f"model must have a name and a version, got {sorted(model)}")
        self.folder = Path(folder)
        self.model = {key: str(model[key]) for key in ("name", "version")}
        self.table = table
        self.columns = tuple(columns)
        self.on_image: Callable[[dict[str, Any]], object] | None = None

    def start(self) -> None:
        """Make the folder and an empty table."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / self.table).open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerow(("image", *self.columns))

    def stem(self, image: str) -> Path:
        """Path of the files of an image, less their endings."""
        return self.folder / file_name(image)

    def write(
        self,
        image: str,
        content: Mapping[str, Any],
        rows: Iterable[Sequence[Any]],
        *,
        size: tuple[int, int],
        warnings: Sequence[str],
        calibrated: bool,
    ) -> dict[str, Any]:
        """Write the JSON file and the lines of one image.

        Args:
            image: its name.
            content: ``task`` and what it answers.
            rows: lines of the table, without the name.
            size: width and height of the image.
            warnings: what makes the answer doubtful.
            calibrated: whether each probability is.

        Returns:
            The content of the JSON file.
        """
        record = {
            "image": image,
            "size": list(size),
            **content,
            "warnings": list(warnings),
            "model": self.model,
            "note": NOTES[calibrated],
        }
        with (self.folder / self.table).open("a", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows((image, *row) for row in rows)
        stem = self.stem(image)
        write_record(stem.with_name(f"{stem.name}.json"), record)
        if self.on_image is not None:
            self.on_image(record)
        return record
