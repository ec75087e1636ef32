# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A phantom as a DICOM file: digital radiography, 12 bits stored in 16, the same bytes every time."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from radbundles.components.phantom.render import Phantom


def derived_uid(*parts: object) -> UID:
    """A UID of the free ``2.25`` arc that depends on ``parts`` alone."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return UID(f"2.25.{int.from_bytes(digest[:16], 'big')}")


def save_dicom(
    path: Path, phantom: Phantom, rng: np.random.Generator, *, patient: str, study: str, instance: str
) -> None:
    """Write one phantom.

    One file in three is MONOCHROME1, stored inverted. The stored range and the window that shows it vary; through the
    window the picture is the phantom's to within one part in 2,400.

    Args:
        path: file to write.
        phantom: what to write.
        rng: draws photometric interpretation and stored range.
        patient: synthetic patient id.
        study: study id; files of one study share its UID.
        instance: id of the image.
    """
    inverted = bool(rng.random() < 1 / 3)
    low, span = int(rng.integers(0, 600)), int(rng.integers(2400, 3400))
    shown = 1 - phantom.image if inverted else phantom.image
    stored = np.rint(low + shown * np.float32(span)).astype("<u2")

    data = Dataset()
    data.SpecificCharacterSet = "ISO_IR 192"
    data.ImageType = ["DERIVED", "PRIMARY"]
    data.SOPClassUID = DigitalXRayImageStorageForPresentation
    data.SOPInstanceUID = derived_uid(instance)
    data.StudyDate = data.StudyTime = data.AccessionNumber = data.ReferringPhysicianName = data.PatientBirthDate = ""
    data.Modality = "DX"
    data.Manufacturer = "RadBundles"
    data.PresentationIntentType = "FOR PRESENTATION"
    data.PatientName = f"Phantom^{patient.rpartition('-')[2]}"
    data.PatientID = patient
    data.PatientSex = phantom.patient.sex
    data.PatientAge = f"{phantom.patient.age:03d}Y"
    data.PatientIdentityRemoved = "YES"
    data.DeidentificationMethod = "Synthetic: there is no patient"
    data.BodyPartExamined = "CHEST"
    data.ViewPosition = phantom.exam.view
    data.PatientOrientation = ["L", "F"]
    data.StudyInstanceUID = derived_uid(study)
    data.SeriesInstanceUID = derived_uid(study, "series")
    data.StudyID, data.SeriesNumber, data.InstanceNumber = "1", 1, 1
    data.Rows, data.Columns = phantom.image.shape
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
    data.PresentationLUTShape = "INVERSE" if inverted else "IDENTITY"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    data.PixelIntensityRelationship, data.PixelIntensityRelationshipSign = "LOG", 1 if inverted else -1
    data.RescaleIntercept, data.RescaleSlope, data.RescaleType = 0, 1, "US"
    # the linear function of the standard maps [center - 0.5 - (width - 1) / 2, ...] onto the full range
    data.WindowCenter, data.WindowWidth = f"{low + span / 2 + 0.5:.1f}", str(span + 1)
    data.ImagerPixelSpacing = [f"{10 * phantom.exam.field / phantom.image.shape[1]:.5f}"] * 2
    data.BurnedInAnnotation = "NO"
    data.LossyImageCompression = "00"
    data.add_new("PixelData", "OW", stored.tobytes())

    data.file_meta = FileMetaDataset()
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.ImplementationClassUID = derived_uid("radbundles", "phantom")
    data.save_as(path, enforce_file_format=True)
