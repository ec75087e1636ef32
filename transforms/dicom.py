# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Read one DICOM radiograph: find the data set, decode the pixels, show them, note the geometry."""

from __future__ import annotations

import io
import math
import struct
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import apply_color_lut, get_decoder
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from radbundles.transforms.dicom_display import display_values
from radbundles.transforms.dicom_view import dicom_view
from radbundles.transforms.picture import is_colored
from radbundles.transforms.read_error import RadiographReadError

__all__ = ["is_dicom", "read_dicom"]

# What to install for a transfer syntax whose pixels need a decoder; pip names, as few as will do.
_GPL = "pip install pylibjpeg pylibjpeg-libjpeg (pylibjpeg-libjpeg is under the GPL-3)"
_INSTALL = {
    "1.2.840.10008.1.2.4.50": "pip install pillow",
    "1.2.840.10008.1.2.4.51": _GPL,
    "1.2.840.10008.1.2.4.57": f"pip install python-gdcm, or {_GPL}",
    "1.2.840.10008.1.2.4.70": f"pip install python-gdcm, or {_GPL}",
    "1.2.840.10008.1.2.4.80": "pip install pyjpegls",
    "1.2.840.10008.1.2.4.81": "pip install pyjpegls",
    "1.2.840.10008.1.2.4.90": "pip install pylibjpeg pylibjpeg-openjpeg",
    "1.2.840.10008.1.2.4.91": "pip install pylibjpeg pylibjpeg-openjpeg",
    "1.2.840.10008.1.2.4.201": "pip install pylibjpeg pylibjpeg-openjpeg",
    "1.2.840.10008.1.2.4.202": "pip install pylibjpeg pylibjpeg-openjpeg",
    "1.2.840.10008.1.2.4.203": "pip install pylibjpeg pylibjpeg-openjpeg",
}
_CONVERT = "convert the file to Explicit VR Little Endian (for example with dcmdjpeg or gdcmconv --raw)"
# A fixed order, since two decoders of lossy JPEG may differ by a gray level; Pillow is always installed, and fastest.
_DECODERS = ("pyjpegls", "pillow", "pylibjpeg", "gdcm", "pydicom")
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601, as Pillow's mode L


def is_dicom(head: bytes) -> bool:
    """Tell from the first bytes (132 or more) whether a file is DICOM, with or without preamble and file meta."""
    if head[128:132] == b"DICM":
        return True
    if len(head) < 8:
        return False
    for order in "<>":
        group, element, length = struct.unpack(f"{order}HHI", head[:8])
        early = (group == 0x0002 and element <= 0x0102) or (group == 0x0008 and element <= 0x0018)
        if early and (length <= 128 or (head[4:6].isalpha() and head[4:6].isupper())):
            return True
    return False


def read_dicom(
    content: bytes, name: str, *, color: str = "gray", window_index: int = 0, frame: int | None = None
) -> tuple[np.ndarray, dict[str, Any]]:
    """Decode a DICOM file to what a viewer would show.

    Any SOP class with pixels is read. MONOCHROME1/2 go through :func:`~radbundles.transforms.dicom_display`; color
    images (secondary captures) are scaled by their bit depth.

    Args:
        content: the bytes of the file.
        name: what errors call the file.
        color: ``"gray"`` (luma of color images) or ``"rgb"``.
        window_index: which VOI LUT or window, see :func:`~radbundles.transforms.dicom_display.display_values`.
        frame: which frame of a multi-frame image, counted from 0; None refuses an image of several frames.

    Returns:
        float32 array in [0, 1], (rows, columns) or, for color ``"rgb"``, (rows, columns, 3); and a dict with
        ``photometric`` and, where the file tells them, ``spacing`` (row, column) in mm, ``view`` (see
        :func:`~radbundles.transforms.dicom_view.dicom_view`), ``body_part``, and ``colored`` if it is.

    Raises:
        RadiographReadError: naming file, reason and mend.
    """
    dataset = _parse(content, name)
    try:
        stored, photometric = _decode(dataset, name, frame)
        told = {"spacing": _spacing(dataset), "view": dicom_view(dataset), "body_part": _body_part(dataset)}
        if photometric in ("MONOCHROME1", "MONOCHROME2"):
            shown = display_values(dataset, stored, window_index=window_index, name=name)
        else:
            shown = _color_values(dataset, stored, photometric)
    except RadiographReadError:
        raise
    except (ValueError, TypeError, AttributeError, KeyError, IndexError, NotImplementedError) as error:
        raise RadiographReadError(f"{name}: malformed DICOM attribute: {error}. Mend the attribute") from error
    meta: dict[str, Any] = {"photometric": str(dataset.PhotometricInterpretation)}
    meta |= {key: value for key, value in told.items() if value is not None}
    if shown.ndim == 3 and is_colored(shown):
        meta["colored"] = True
    if shown.ndim == 3 and color == "gray":
        shown = shown @ _LUMA
    elif shown.ndim == 2 and color == "rgb":
        shown = np.repeat(shown[..., None], 3, axis=-1)
    return shown, meta


def _parse(content: bytes, name: str) -> Dataset:
    try:
        dataset = pydicom.dcmread(io.BytesIO(content), force=True)
        sop_class = dataset.get("SOPClassUID") or getattr(dataset, "file_meta", Dataset()).get(
            "MediaStorageSOPClassUID"
        )
    except Exception:  # a parser fails in as many ways as files are broken, and may quote what it read
        raise RadiographReadError(f"{name}: broken DICOM file, cannot be parsed. Get the file again") from None
    if not any(keyword in dataset for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        kind = UID(sop_class).name if sop_class else "no SOP class"
        if "Rows" in dataset or "Image Storage" in kind:  # at an early end, pydicom drops what it has read
            raise RadiographReadError(f"{name}: the DICOM file ends before its pixels do. Get the file again")
        raise RadiographReadError(f"{name}: the DICOM file holds no image ({kind}). Leave it out of the data list")
    if "TransferSyntaxUID" not in getattr(dataset, "file_meta", Dataset()):
        _assume_transfer_syntax(dataset, name)
    return dataset


def _assume_transfer_syntax(dataset: Dataset, name: str) -> None:
    """A file without file meta information is native, in the encoding the parser found."""
    if bytes(dataset.get("PixelData", b"")[:4]) == b"\xfe\xff\x00\xe0":
        raise RadiographReadError(
            f"{name}: compressed pixels but no Transfer Syntax UID (the file meta information is missing). "
            "Export the file again as a DICOM Part 10 file"
        )
    implicit, little = dataset.original_encoding
    explicit = ExplicitVRBigEndian if little is False else ExplicitVRLittleEndian
    dataset.file_meta = getattr(dataset, "file_meta", FileMetaDataset())
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit


def _decode(dataset: Dataset, name: str, frame: int | None) -> tuple[np.ndarray, str]:
    """Stored values (rows, columns[, 3]) and the photometric interpretation after decoding."""
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    called = f"{name}: transfer syntax {syntax.name} ({str(syntax)})"
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frame is None and frames > 1:
        raise RadiographReadError(f"{name}: {frames} frames where one is expected. Choose one, as with frame=0")
    if frame is not None and frame >= frames:
        raise RadiographReadError(f"{name}: frame {frame} is asked for, but the file has {frames}, counted from 0")
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise RadiographReadError(f"{called} is not supported. To read it, {_CONVERT}") from None
    if not decoder.is_available:
        raise RadiographReadError(
            f"{called} needs a decoder that is not installed. {_INSTALL.get(str(syntax), _CONVERT)}"
        )
    # High Bit above Bits Stored - 1 is retired, but the standard of its time put the sample at the top of the word.
    shift = int(dataset.get("HighBit") or 0) + 1 - int(dataset.get("BitsStored") or 0)
    shifted = shift > 0 and "HighBit" in dataset and (not syntax.is_compressed or syntax == RLELossless)
    options: Any = {"correct_unused_bits": not shifted}
    failures = []
    for plugin in [one for one in _DECODERS if one in decoder.available_plugins] or [""]:
        try:
            stored, properties = decoder.as_array(dataset, index=frame or 0, decoding_plugin=plugin, **options)
        except Exception as error:  # each plugin raises what its codec raises
            failures.append(f"{plugin + ': ' if plugin else ''}{str(error).strip().splitlines()[-1].strip()}")
            continue
        if shifted:
            unused = stored.dtype.itemsize * 8 - int(dataset.BitsStored)
            stored = stored << (unused - shift) >> unused
        return stored, str(properties["photometric_interpretation"])
    advice = f"Get the file again, or {_INSTALL[str(syntax)]}" if str(syntax) in _INSTALL else "Get the file again"
    raise RadiographReadError(f"{called}: pixels cannot be decoded ({'; '.join(failures)}). {advice}")


def _color_values(dataset: Dataset, stored: np.ndarray, photometric: str) -> np.ndarray:
    if photometric == "PALETTE COLOR":
        depth = int(dataset.RedPaletteColorLookupTableDescriptor[2])
        colors = apply_color_lut(stored, dataset)[..., :3]
        depth = depth if colors.max() < 1 << depth else 8 * colors.itemsize
    elif photometric == "RGB" and stored.ndim == 3 and stored.shape[-1] == 3:
        depth, colors = int(dataset.BitsStored), stored
    else:
        raise ValueError(f"photometric interpretation {photometric!r} is not supported")
    return np.divide(colors, np.float32((1 << depth) - 1), dtype=np.float32)


def _spacing(dataset: Dataset) -> tuple[float, float] | None:
    """Pixel spacing (row, column) in mm in the plane of the patient, PS3.3 10.7.1.

    Pixel Spacing of a projection is calibrated to the patient where it differs from Imager Pixel Spacing or says how
    it was calibrated. Otherwise the spacing at the detector is divided by the estimated magnification, if given.
    """
    pixel, imager = _pair(dataset, "PixelSpacing"), _pair(dataset, "ImagerPixelSpacing")
    if pixel and (not imager or dataset.get("PixelSpacingCalibrationType") or not np.allclose(pixel, imager)):
        return pixel
    if not imager:
        return _pair(dataset, "NominalScannedPixelSpacing")
    magnification = float(dataset.get("EstimatedRadiographicMagnificationFactor") or 1)
    if not 1 <= magnification < 10:  # a detector cannot see the patient smaller than he is
        magnification = 1.0
    return imager[0] / magnification, imager[1] / magnification


def _body_part(dataset: Dataset) -> str | None:
    regions = [region.get("CodeMeaning") for region in dataset.get("AnatomicRegionSequence") or ()]
    told = (str(text or "").strip().upper() for text in (dataset.get("BodyPartExamined"), *regions))
    return next((text for text in told if text), None)


def _pair(dataset: Dataset, keyword: str) -> tuple[float, float] | None:
    value = dataset.get(keyword)
    if not value or len(value) != 2 or not all(one and math.isfinite(one) and one > 0 for one in value):
        return None
    return float(value[0]), float(value[1])
