# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether large files are there and are the right ones."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from radbundles.components.hub.bundles import find_bundle
from radbundles.components.hub.weights import WeightsReport, check_weights

CONTENT = bytes(range(256)) * 9000  # more than two chunks of the reader


def examine(bundle: Path) -> WeightsReport:
    return check_weights(find_bundle(bundle.name))


def write(bundle: Path, listing: str | None = None, content: bytes | None = CONTENT) -> None:
    (bundle / "models").mkdir()
    if content is not None:
        (bundle / "models" / "model.pt").write_bytes(content)
    if listing is not None:
        (bundle / "large_files.yml").write_text(listing)


def listing(checksum: str, kind: str | None = "sha256") -> str:
    lines = ["large_files:", "- path: models/model.pt", "  url: file.pt", f"  hash_val: {checksum}"]
    return "\n".join(lines + ([f"  hash_type: {kind}"] if kind else [])) + "\n"


def test_bundle_without_weights_tells_how_to_train_them(toy_bundle: Path) -> None:
    report = examine(toy_bundle)
    assert (report.file, report.size, report.verified, report.problems) == (None, None, None, ())
    (note,) = report.notes
    assert note == "no weights shipped: train them with `radbundles run toy_segmentation train`"
    (toy_bundle / "configs" / "train.json").unlink()
    assert examine(toy_bundle).notes == ("no weights shipped",)


def test_weights_without_a_listing_are_not_called_verified(toy_bundle: Path) -> None:
    write(toy_bundle)
    report = examine(toy_bundle)
    assert (report.size, report.verified, report.problems, report.notes) == (len(CONTENT), None, (), ())


@pytest.mark.parametrize("kind", ["sha256", "sha512", None])
def test_right_checksum_verifies(toy_bundle: Path, kind: str | None) -> None:
    write(toy_bundle, listing(hashlib.new(kind or "md5", CONTENT).hexdigest().upper(), kind))
    assert (examine(toy_bundle).verified, examine(toy_bundle).problems) == (True, ())


def test_damaged_file_is_a_problem(toy_bundle: Path) -> None:
    write(toy_bundle, listing(hashlib.sha256(CONTENT).hexdigest()), CONTENT[:-1])
    report = examine(toy_bundle)
    assert report.verified is False
    (problem,) = report.problems
    assert problem.startswith("models/model.pt has the sha256 ") and "download it again" in problem


def test_listed_file_that_is_absent_names_the_download(toy_bundle: Path) -> None:
    write(toy_bundle, listing("00"), None)
    report = examine(toy_bundle)
    assert report.problems == ()
    (note,) = report.notes
    assert note == (
        f"models/model.pt is not downloaded: python -m monai.bundle download_large_files --bundle_path {toy_bundle}"
    )


@pytest.mark.parametrize("content", ["nothing: 1\n", "large_files: 3\n", "large_files: [{url: x}]\n", "a: [\n"])
def test_malformed_listing_is_a_problem(toy_bundle: Path, content: str) -> None:
    write(toy_bundle, content)
    (problem,) = examine(toy_bundle).problems
    assert problem.startswith("large_files.yml is no list `large_files`")


def test_unknown_kind_of_checksum_is_a_problem(toy_bundle: Path) -> None:
    write(toy_bundle, listing("00", "crc99"))
    assert examine(toy_bundle).problems == ("models/model.pt has a checksum of the unknown kind 'crc99'",)
