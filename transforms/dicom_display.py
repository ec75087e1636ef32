# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""From the stored values of a grayscale DICOM image to what a viewer would show: modality LUT, VOI LUT, polarity."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence

import numpy as np
from pydicom.dataset import Dataset

__all__ = ["display_values"]

_BLOCK = 1 << 16  # pixels looked up at a time: their indices stay in the cache and never need a copy of the image


def display_values(dataset: Dataset, stored: np.ndarray, *, window_index: int = 0, name: str = "image") -> np.ndarray:
    """Map stored values to display values in [0, 1], 0 black and 1 white.

    The grayscale pipeline of DICOM PS3.4 N.2: modality LUT or rescale (PS3.3 C.11.1); VOI LUT or window with the
    functions LINEAR, LINEAR_EXACT or SIGMOID (C.11.2), or the full stored range where the file holds neither; one
    inversion where the photometric interpretation is MONOCHROME1 or the presentation LUT shape is INVERSE (a file of
    the DX family has both, and they mean the same inversion). Padding pixels (C.7.5.1.1.2) are left out of that
    range and become black.

    Each possible stored value is mapped once, in float64, and the pixels are looked up in that table: exact, and as
    fast for a sigmoid as for a straight line. Different from ``pydicom.pixels.apply_voi_lut``, a window maps onto
    [0, 1] and not onto the range of stored values, and LUTs may be indexed by rescaled or negative values.

    Args:
        dataset: the attributes of the image; pixels are not read from it.
        stored: stored values of any shape, integer (unused bits cleared, sign extended) or floating.
        window_index: which of several VOI LUTs or windows to apply; LUTs go before windows. A window whose width the
            standard forbids (0 occurs in files) is passed over with a warning.
        name: what the warning calls the image.

    Returns:
        float32 array of the shape of ``stored``.

    Raises:
        ValueError: when an attribute is malformed or the file has no VOI LUT or window ``window_index``.
    """
    if stored.dtype.kind in "iu" and stored.dtype.itemsize <= 2:
        native = np.ascontiguousarray(stored, dtype=stored.dtype.newbyteorder("="))
        codes = native.view(f"u{native.itemsize}")  # a negative value is found by its bit pattern
        levels = np.arange(1 << (8 * native.itemsize), dtype=codes.dtype).view(native.dtype)
    else:
        levels, codes = np.unique(stored, return_inverse=True)
    padding = _padding_levels(dataset, levels)
    values = _modality(dataset, levels.astype(np.float64))
    shown = _voi(dataset, values, window_index, name)
    if shown is None:
        shown = _full_range(dataset, levels, values, _used(codes, levels.size) & ~padding)
    if _is_inverted(dataset):
        shown = 1.0 - shown
    return _look_up(np.where(padding, 0.0, shown).astype(np.float32), codes.reshape(stored.shape))


def _look_up(table: np.ndarray, codes: np.ndarray) -> np.ndarray:
    result = np.empty(codes.shape, dtype=table.dtype)
    target = result.reshape(-1)
    for block in _blocks(codes):
        np.take(table, codes.reshape(-1)[block], out=target[block], mode="clip")
    return result


def _used(codes: np.ndarray, count: int) -> np.ndarray:
    used = np.zeros(count, dtype=bool)
    for block in _blocks(codes):
        used[codes.reshape(-1)[block]] = True
    return used


def _blocks(codes: np.ndarray) -> Iterator[slice]:
    return (slice(start, start + _BLOCK) for start in range(0, codes.size, _BLOCK))


def _is_inverted(dataset: Dataset) -> bool:
    photometric = str(dataset.get("PhotometricInterpretation", "")).strip()
    return photometric == "MONOCHROME1" or str(dataset.get("PresentationLUTShape", "")).strip() == "INVERSE"


def _padding_levels(dataset: Dataset, levels: np.ndarray) -> np.ndarray:
    """Mark the levels between pixel padding value and pixel padding range limit, both inclusive, in either order."""
    value = dataset.get("PixelPaddingValue")
    if value is None:
        return np.zeros(levels.shape, dtype=bool)
    limit = dataset.get("PixelPaddingRangeLimit")
    bounds = np.array([value, value if limit is None else limit], dtype=np.int64)
    if levels.dtype.kind == "i":  # writers often store a negative padding value as its unsigned bit pattern
        bounds[bounds > np.iinfo(levels.dtype).max] -= 1 << int(dataset.BitsAllocated)
    return (levels >= bounds.min()) & (levels <= bounds.max())


def _modality(dataset: Dataset, levels: np.ndarray) -> np.ndarray:
    sequence = dataset.get("ModalityLUTSequence")
    if sequence:
        return _apply_lut(levels, sequence[0])[0]
    slope, intercept = _numbers(dataset, "RescaleSlope"), _numbers(dataset, "RescaleIntercept")
    if slope and slope[0] == 0:
        raise ValueError("Rescale Slope is 0, which would make every pixel equal")
    return levels * (slope[0] if slope else 1.0) + (intercept[0] if intercept else 0.0)


def _voi(dataset: Dataset, values: np.ndarray, index: int, name: str) -> np.ndarray | None:
    """Apply the VOI LUT or window ``index``; None when the file has none that is usable."""
    luts = [item for item in dataset.get("VOILUTSequence") or () if "LUTDescriptor" in item and "LUTData" in item]
    windows = list(zip(_numbers(dataset, "WindowCenter"), _numbers(dataset, "WindowWidth"), strict=False))
    views: Sequence[object] = luts or windows
    if not views:
        return None
    if index >= len(views):
        kind = "VOI LUTs" if luts else "windows"
        raise ValueError(f"window_index is {index} but the file has {len(views)} {kind}, counted from 0")
    if luts:
        entries, top = _apply_lut(values, luts[index])
        return np.minimum(entries / top, 1.0)
    center, width = windows[index]
    function = str(dataset.get("VOILUTFunction") or "LINEAR").strip().upper()
    if not width >= (1 if function == "LINEAR" else math.ulp(0.0)):
        warnings.warn(f"{name}: window width {width:g} is not valid, the full range is shown", stacklevel=4)
        return None
    return _apply_window(values, center, width, function)


def _apply_window(values: np.ndarray, center: float, width: float, function: str) -> np.ndarray:
    if function == "LINEAR":  # C.11.2.1.2.1
        if width == 1:
            return (values > center - 0.5).astype(np.float64)
        return np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0.0, 1.0)
    if function == "LINEAR_EXACT":  # C.11.2.1.3.2
        return np.clip((values - center) / width + 0.5, 0.0, 1.0)
    if function == "SIGMOID":  # C.11.2.1.3.1: 1 / (1 + exp(-4 (x - c) / w)), in the form that cannot overflow
        return 0.5 * (1.0 + np.tanh(2.0 * (values - center) / width))
    raise ValueError(f"VOI LUT Function is {function!r}, not LINEAR, LINEAR_EXACT or SIGMOID")


def _apply_lut(values: np.ndarray, item: Dataset) -> tuple[np.ndarray, int]:
    """Look values up in an item of a modality or VOI LUT sequence; also return the greatest value of its depth."""
    descriptor = [int(number) for number in item.LUTDescriptor]
    if len(descriptor) != 3:
        raise ValueError(f"LUT Descriptor holds {len(descriptor)} numbers instead of 3")
    count, first, bits = descriptor[0] % 65536 or 65536, descriptor[1], descriptor[2]
    if not 1 <= bits <= 16:
        raise ValueError(f"LUT Descriptor gives {bits} bits an entry, outside 1 to 16")
    if first > 32767 and values.min() < 0:  # "US or SS": a negative first value written as unsigned
        first -= 65536
    byte_order = ">" if item.original_encoding[1] is False else "<"
    entries = _lut_entries(item["LUTData"].value, count, byte_order)
    index = np.clip(np.rint(values - first), 0, count - 1).astype(np.intp)
    return entries[index].astype(np.float64), (1 << bits) - 1


def _lut_entries(data: bytes | int | Sequence[int], count: int, byte_order: str) -> np.ndarray:
    """Entries of LUT Data: words, or bytes packed two to a word; OW values come as the file's bytes."""
    if isinstance(data, int):
        data = [data]
    words = np.frombuffer(data, dtype=f"{byte_order}u2") if isinstance(data, bytes) else np.asarray(data, dtype="u2")
    if len(words) >= count:
        return words[:count]
    packed = words.astype("<u2").view("u1")
    if len(packed) < count:
        raise ValueError(f"LUT Data holds {len(words)} words, too few for the {count} entries of LUT Descriptor")
    return packed[:count]


def _full_range(dataset: Dataset, levels: np.ndarray, values: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Show the range of Bits Stored, so that black is the same exposure in every image of a detector.

    Two kinds of file say nothing by it and show the range they use: whole words stored (12 bits written as 16 would
    be all but black), of which the bits really used are taken, and negative values, where the least is black.
    """
    if not used.any():
        return np.zeros_like(values)
    least, greatest = levels[used].min(), levels[used].max()
    if levels.dtype.kind in "iu" and least >= 0:
        depth = int(dataset.get("BitsStored") or 16)
        least, greatest = 0, (1 << (depth if depth < 16 else int(greatest).bit_length())) - 1
    inside = values[(levels >= least) & (levels <= greatest)]
    low, high = inside.min(), inside.max()
    return np.clip((values - low) / (high - low), 0.0, 1.0) if high > low else np.zeros_like(values)


def _numbers(dataset: Dataset, keyword: str) -> list[float]:
    """Finite values of a decimal string attribute; empty when absent or empty."""
    value = dataset.get(keyword)
    if value is None or value == "":
        return []
    several = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    numbers = [float(one) for one in several if one is not None and one != ""]
    if not all(math.isfinite(number) for number in numbers):
        raise ValueError(f"{keyword} is not a finite number")
    return numbers
