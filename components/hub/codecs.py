# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Which DICOM transfer syntaxes can be decoded here, and what to install for the others."""

from __future__ import annotations

from dataclasses import dataclass

# The package we advise for each compressed syntax; uncompressed and run-length data need none.
_OPENJPEG = "pylibjpeg pylibjpeg-openjpeg"
_ADVICE = {
    "JPEGBaseline8Bit": "pillow",
    "JPEGExtended12Bit": "python-gdcm",
    "JPEGLossless": "python-gdcm",
    "JPEGLosslessSV1": "python-gdcm",
    "JPEGLSLossless": "pyjpegls",
    "JPEGLSNearLossless": "pyjpegls",
    "JPEG2000Lossless": _OPENJPEG,
    "JPEG2000": _OPENJPEG,
    "HTJ2KLossless": _OPENJPEG,
    "HTJ2KLosslessRPCL": _OPENJPEG,
    "HTJ2K": _OPENJPEG,
}


@dataclass(frozen=True)
class Codec:
    """One transfer syntax of still images.

    Args:
        uid: the transfer syntax UID.
        keyword: pydicom's short name of it.
        decodable: whether pixel data in it can be read here.
        plugins: the decoders that would do it.
        limit: what those decoders cannot do, or None.
        install: the command that mends what is missing, or None.
    """

    uid: str
    keyword: str
    decodable: bool
    plugins: tuple[str, ...]
    limit: str | None
    install: str | None


def list_codecs() -> list[Codec]:
    """Ask pydicom about every transfer syntax that it has a decoder for.

    Raises:
        ImportError: pydicom is not installed.
    """
    from pydicom.pixels import get_decoder
    from pydicom.uid import AllTransferSyntaxes

    codecs = []
    for uid in AllTransferSyntaxes:
        try:
            decoder = get_decoder(uid)
        except NotImplementedError:  # video and references to servers
            continue
        plugins = decoder.available_plugins
        limit = None
        if uid.keyword == "JPEGExtended12Bit" and plugins == ("pillow",):
            limit = (
                "8-bit samples only"  # libjpeg as Pillow builds it refuses the 12 bits that give the syntax its name
            )
        advice = _ADVICE.get(uid.keyword)
        install = f"pip install {advice}" if advice and (limit or not decoder.is_available) else None
        codecs.append(Codec(str(uid), uid.keyword, decoder.is_available, plugins, limit, install))
    return codecs
