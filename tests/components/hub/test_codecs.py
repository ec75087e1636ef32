# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What is said about the codecs agrees with what pydicom can do."""

from __future__ import annotations

import pydicom.pixels
import pytest
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLosslessSV1, RLELossless

from radbundles.components.hub.codecs import Codec, list_codecs


class Decoder:
    """A decoder as pydicom has them, with the plug-ins of a test."""

    def __init__(self, plugins: tuple[str, ...]) -> None:
        self.available_plugins = plugins
        self.is_available = bool(plugins)


def codecs_with(monkeypatch: pytest.MonkeyPatch, **plugins: tuple[str, ...]) -> dict[str, Codec]:
    def get_decoder(uid: pydicom.uid.UID) -> Decoder:
        if uid.keyword not in plugins:
            raise NotImplementedError
        return Decoder(plugins[uid.keyword])

    monkeypatch.setattr(pydicom.pixels, "get_decoder", get_decoder)
    return {codec.keyword: codec for codec in list_codecs()}


def test_uncompressed_and_baseline_data_need_nothing_more() -> None:
    codecs = {codec.uid: codec for codec in list_codecs()}
    for uid in (ExplicitVRLittleEndian, RLELossless, JPEGBaseline8Bit):
        assert codecs[uid].decodable and codecs[uid].install is None


def test_every_compressed_syntax_has_advice_when_no_plugin_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    compressed = {codec.keyword: () for codec in list_codecs() if "JPEG" in codec.keyword or "J2K" in codec.keyword}
    assert len(compressed) == 11
    for codec in codecs_with(monkeypatch, **compressed).values():
        assert not codec.decodable
        assert codec.install is not None and codec.install.startswith("pip install ")


def test_missing_jpeg_lossless_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    (codec,) = codecs_with(monkeypatch, JPEGLosslessSV1=()).values()
    assert (codec.uid, codec.install) == (JPEGLosslessSV1, "pip install python-gdcm")


@pytest.mark.parametrize(
    ("plugins", "limit", "install"),
    [(("pillow",), "8-bit samples only", "pip install python-gdcm"), (("gdcm", "pillow"), None, None)],
)
def test_twelve_bit_jpeg_is_not_promised_by_pillow(
    monkeypatch: pytest.MonkeyPatch, plugins: tuple[str, ...], limit: str | None, install: str | None
) -> None:
    (codec,) = codecs_with(monkeypatch, JPEGExtended12Bit=plugins).values()
    assert (codec.uid, codec.limit, codec.install) == (JPEGExtended12Bit, limit, install)
