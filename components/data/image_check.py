# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Checks of the image and mask files of one item, and of its boxes against the image."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from radbundles.components.data.fault import Fault, hide_patient, shorten
from radbundles.components.data.image_header import ImageHeader, read_header
from radbundles.components.data.schema import field_name

Item = dict[str, Any]


def image_faults(item: Item, row: int, *, base_dir: str, pixels: bool) -> tuple[list[Fault], tuple[int, int] | None]:
    """Faults of the files of a valid item.

    Args:
        item: the item.
        row: row number for the fault records.
        base_dir: folder that paths are relative to.
        pixels: decode the image with :class:`radbundles.transforms.LoadRadiograph` and the masks as well, instead of
            reading their headers only.

    Returns:
        The faults, and the size (width, height) of the image if it can be read.
    """
    faults: list[Fault] = []

    def fault(field: str, code: str, message: str, fix: str) -> None:
        faults.append(Fault(row, item["id"], field, code, message, fix))

    def read(field: str, path: str, kind: str, reader: Callable[[str], Any]) -> Any:
        full, shown = os.path.join(base_dir, path), hide_patient(shorten(path, 160), item)
        try:
            return reader(full)
        except (FileNotFoundError, NotADirectoryError):
            fault(field, f"missing_{kind}", f"{shown} does not exist", _path_hint(path, base_dir))
        except IsADirectoryError:
            fault(field, f"unreadable_{kind}", f"{shown} is a folder", "Name a file.")
        except Exception as error:  # A decoder may raise anything on a broken file; one file must not end the check.
            reason = hide_patient(_reason(error, full), item)
            fix = "Get the file again, or convert it to PNG, JPEG, DICOM or NIfTI."
            fault(field, f"unreadable_{kind}", f"{shown} cannot be read: {reason}", fix)
        return None

    header: ImageHeader | None = read("image", item["image"], "image", read_header)
    decoded = read("image", item["image"], "image", _radiograph_loader()) if header is not None and pixels else None
    if header is not None and "size" in item and list(header.size) != item["size"]:
        message = f"{item['size']} is stated, the image has {list(header.size)} (width, height)"
        fault("size", "wrong_size", message, "Correct the size, or leave it out.")
    for name, path in item.get("masks", {}).items():
        field = f"masks.{name}"
        mask: ImageHeader | None = read(field, path, "mask", read_header)
        if mask is None:
            continue
        if mask.format == "JPEG":
            fault(
                field, "unreadable_mask", "the mask is a JPEG, whose rounding spills over its border", "Save it as PNG."
            )
        elif mask.channels != 1:
            message = f"the mask has {mask.channels} channels"
            fault(field, "mask_channels", message, "Save it with one channel: zero outside, anything else inside.")
        elif header is not None and mask.size != header.size:
            message = f"the mask has {list(mask.size)}, its image {list(header.size)} (width, height)"
            fault(field, "mask_size", message, "Make the mask of the stored image, at its full size.")
        elif decoded is not None:
            read(field, path, "mask", partial(_decode_mask, image=decoded))
    return faults, None if header is None else header.size


def box_faults(item: Item, row: int, size: tuple[int, int] | None) -> list[Fault]:
    """Faults of the boxes of a valid item: without area, or outside the image of ``size`` (width, height)."""
    faults: list[Fault] = []
    groups = [(["boxes", name], boxes) for name, boxes in item.get("boxes", {}).items()]
    groups += [(["phrases", place, "boxes"], phrase["boxes"]) for place, phrase in enumerate(item.get("phrases", []))]
    for parts, boxes in groups:
        for place, (x0, y0, x1, y1) in enumerate(boxes):
            shown, field = shorten([x0, y0, x1, y1]), field_name([*parts, place])
            if x1 <= x0 or y1 <= y0:
                fix = "Write [x0, y0, x1, y1] with x0 < x1 and y0 < y1, not width and height."
                faults.append(Fault(row, item["id"], field, "box_inverted", f"{shown} has no area", fix))
            elif x0 < 0 or y0 < 0 or (size is not None and (x1 > size[0] or y1 > size[1])):
                image = f"the image of {size[0]} x {size[1]} pixels" if size is not None else "the image"
                fix = "Write pixels of the stored image as x0, y0, x1, y1; clip the box to it."
                faults.append(Fault(row, item["id"], field, "box_outside", f"{shown} leaves {image}", fix))
    return faults


@cache
def _radiograph_loader() -> Callable[[str], object]:
    from radbundles.transforms import LoadRadiograph

    loader: Callable[[str], object] = LoadRadiograph()
    return loader


def _decode_mask(path: str, *, image: Any) -> None:
    from radbundles.transforms import LoadMaskd

    LoadMaskd("masks", classes=["mask"])({"image": image, "masks": {"mask": path}})


def _path_hint(path: str, base_dir: str) -> str:
    if "\\" in path:
        return "Write the path with forward slashes."
    return f"Paths are relative to {base_dir!r}; correct the path, or name the folder with --dataset-dir."


def _reason(error: Exception, full: str) -> str:
    text = " ".join(str(error).split()) or "no reason given"
    # The field and the row already say which file; the full path would only make the line long.
    return shorten(f"{type(error).__name__}: {text.replace(full, 'the file')}", 200).strip("'\"")
