# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The Indiana University chest radiographs of Open-i, as NLM distributes them.

``ecgen-radiology/<n>.xml`` (NLMCXR_reports.tgz) and ``NLMCXR_png/<image>.png`` (NLMCXR_png.tgz) or the images beside.
One report is one study of one patient. Source: Demner-Fushman et al., J Am Med Inform Assoc 2016;23(2):304-310.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from radbundles.components.data.fault import Fault
from radbundles.components.data.layouts.table import layout_fault

LICENSE = "CC BY-NC-ND 4.0"


def read_open_i(source: Path) -> Iterator[tuple[int, dict[str, Any] | Fault]]:
    """Read Open-i, one item for each image of a report.

    Args:
        source: folder that holds ``ecgen-radiology`` and ``NLMCXR_png``.

    Yields:
        Running number of the image, reports in the order of their numbers, and an item or a fault. Section names are
        the report's own in lower case (comparison, indication, findings, impression); ``XXXX`` of the
        de-identification stays. MeSH headings are metadata.

    Raises:
        FileNotFoundError: there is no folder ``ecgen-radiology``.
    """
    if not (source / "ecgen-radiology").is_dir():
        raise FileNotFoundError(f"{source} has no folder ecgen-radiology; unpack NLMCXR_reports.tgz there")
    return _items(source)


def _items(source: Path) -> Iterator[tuple[int, dict[str, Any] | Fault]]:
    reports = (source / "ecgen-radiology").glob("*.xml")
    row = 0
    for path in sorted(reports, key=lambda path: (len(path.stem), path.stem)):
        try:
            root = ElementTree.parse(path).getroot()
        except ElementTree.ParseError as error:
            row += 1
            message = f"{path.name} is not XML: {error}"
            yield row, layout_fault(row, "wrong_value", message, "Unpack NLMCXR_reports.tgz again.")
            continue
        shared = _shared(root, path.stem)
        for image in root.iter("parentImage"):
            row += 1
            name = image.get("id")
            if not name:
                fix = "Unpack NLMCXR_reports.tgz again."
                yield row, layout_fault(row, "missing_field", f"an image of {path.name} has no id", fix, field="id")
                continue
            yield row, {"id": name, "image": f"NLMCXR_png/{name}.png", **shared, "metadata": _metadata(root, image)}


def _shared(root: ElementTree.Element, number: str) -> dict[str, Any]:
    identity = root.find("uId")
    study = (identity.get("id") if identity is not None else None) or f"CXR{number}"
    item: dict[str, Any] = {"patient": study, "study": study, "modality": "CXR", "source": "open-i", "license": LICENSE}
    sections = {(part.get("Label") or "text").lower(): _text(part) for part in root.iter("AbstractText")}
    report = {name: text for name, text in sections.items() if text}
    if report:
        item["report"] = report
    return item


def _metadata(root: ElementTree.Element, image: ElementTree.Element) -> dict[str, str]:
    values = {
        "mesh_major": "; ".join(filter(None, map(_text, root.iterfind("MeSH/major")))),
        "mesh_automatic": "; ".join(filter(None, map(_text, root.iterfind("MeSH/automatic")))),
        "caption": _text(image.find("caption")),
    }
    return {name: value for name, value in values.items() if value}


def _text(element: ElementTree.Element | None) -> str:
    return "" if element is None else " ".join("".join(element.itertext()).split())
