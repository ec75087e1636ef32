# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from radbundles.transforms import LoadRadiograph
from radbundles.transforms.dicom_view import VIEWS, dicom_view


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")  # as writers leave it
@pytest.mark.parametrize(
    ("position", "view"),
    [
        ("PA", "PA"),
        ("AP", "AP"),
        ("ap", "AP"),
        ("AP AXIAL", "AP"),
        ("ANTERO-POSTERIOR", "AP"),
        ("LL", "LL"),
        ("RL", "RL"),
        ("LATERAL", "LATERAL"),
        ("XTABLE LATERAL", "LATERAL"),
        ("LAT", "LATERAL"),
        ("LLD", "DECUBITUS"),
        ("AP RLD", "DECUBITUS"),
        ("LAO", "OBLIQUE"),
        ("RPO", "OBLIQUE"),
        ("RLO", "OBLIQUE"),
        ("SWIMMERS", None),
        ("", None),
    ],
)
def test_view_position_is_understood(position: str, view: str | None) -> None:
    dataset = Dataset()
    dataset.ViewPosition = position
    assert dicom_view(dataset) == view
    assert view is None or view in VIEWS


@pytest.mark.parametrize(
    ("meaning", "view"),
    [
        ("postero-anterior", "PA"),
        ("antero-posterior", "AP"),
        ("Left Lateral", "LL"),
        ("Right lateral", "RL"),
        ("Lateral", "LATERAL"),
        ("left anterior oblique", "OBLIQUE"),
        ("Left lateral decubitus", "DECUBITUS"),
        ("Axial", None),
    ],
)
def test_code_tells_the_view_where_the_position_does_not(meaning: str, view: str | None) -> None:
    code, dataset = Dataset(), Dataset()
    code.CodeMeaning = meaning
    dataset.ViewCodeSequence = [code]
    assert dicom_view(dataset) == view
    dataset.ViewPosition = "AP"
    assert dicom_view(dataset) == "AP"


@pytest.mark.parametrize(
    ("orientation", "view"),
    [(["A", "F"], "LATERAL"), (["P", "F"], "LATERAL"), (["AL", "F"], "LATERAL"), (["L", "F"], None), (None, None)],
)
def test_rows_that_run_forward_or_backward_are_lateral(orientation: list[str] | None, view: str | None) -> None:
    dataset = Dataset()
    dataset.PatientOrientation = orientation
    assert dicom_view(dataset) == view


@pytest.mark.parametrize(
    ("description", "view"),
    [
        ("CHEST LAT", "LATERAL"),
        ("Thorax_pa", "PA"),
        ("Chest left lateral", "LL"),
        ("CHEST PA AND LATERAL", None),  # the series may hold both
        ("Chest AP portable", "AP"),
        ("Chest, lateral decubitus", "DECUBITUS"),
        ("Plate of a flat patient", None),
    ],
)
def test_description_is_a_hint_if_it_names_one_view(description: str, view: str | None) -> None:
    dataset = Dataset()
    dataset.SeriesDescription = description
    assert dicom_view(dataset) == view
    dataset.PatientOrientation = ["A", "F"]
    assert dicom_view(dataset) == "LATERAL"


def test_real_files_tell_their_view(shared_data: Path) -> None:
    for name, view in (
        ("RG1_J2KR.dcm", "PA"),
        ("siim_cr_jpeg_baseline.dcm", "PA"),
        ("highdicom_dx_tiny.dcm", "LATERAL"),  # by what the processing is called: it has no view position
    ):
        meta = LoadRadiograph()(shared_data / "dicom" / name).meta
        assert meta["view"] == view
        assert meta["body_part"] in ("CHEST", "THORAX")
