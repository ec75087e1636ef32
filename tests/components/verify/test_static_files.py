# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""V1 finds what is wrong with the files of a bundle: each test plants one fault."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.components.verify.conftest import BundleCopy

from radbundles.components.hub.manifest import write_manifest
from radbundles.components.verify import Finding, check_static

MACHINE = "/mn" + "t/scans/first.png"  # spelt so that this file names no machine's path
LARGE = b"\0" * (2**20 + 1)
LOG = "configs/logging.conf"
HASHLESS = "large_files:\n- path: models/model.pt\n  url: https://example.org/model.pt\n"
MIT = """Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


def only(bundle: BundleCopy, check: str = "V1") -> Finding:
    findings = check_static(bundle.folder, checks=[check])
    assert len(findings) == 1, findings
    assert findings[0].check == check
    return findings[0]


Plant = Callable[[BundleCopy], object]
FAULTS: dict[str, tuple[Plant, str, str | None, str | None, str]] = {
    "no license": (lambda b: (b.folder / "LICENSE").unlink(), "LICENSE", None, None, "copy the text"),
    "another license": (
        lambda b: b.write("LICENSE", b.read("LICENSE").replace("perpetual", "temporary", 1)),
        "LICENSE",
        None,
        "Apache License Version 2.0, January 2004",
        "word for word",
    ),
    "no terms of the data": (
        lambda b: (b.folder / "docs/data_license.txt").unlink(),
        "docs/data_license.txt",
        None,
        None,
        "name the data sets",
    ),
    "no inference": (
        lambda b: (b.folder / "configs/inference.json").unlink(),
        "configs/inference.json",
        None,
        None,
        "write the workflow",
    ),
    "front matter": (
        lambda b: b.write("docs/README.md", "---\nlicense: mit\n---\n" + b.read("docs/README.md")),
        "docs/README.md",
        "line 1",
        "---",
        "take the block",
    ),
    "code": (lambda b: b.write("scripts/net.py", "x = 1\n"), "scripts/net.py", None, None, "package"),
    "large file": (
        lambda b: b.write("eval/predictions.csv", LARGE),
        "eval/predictions.csv",
        None,
        "1048577 bytes",
        "leave results out",
    ),
    "path in a config": (
        lambda b: b.edit("train", lambda c: c.update(dataset_dir=MACHINE)),
        "configs/train.json",
        "dataset_dir",
        MACHINE,
        "dataset_dir",
    ),
    "path in an expression": (
        lambda b: b.edit("train", lambda c: c.update(datalist="$os.path.join('/data', 'datalist.json')")),
        "configs/train.json",
        "datalist",
        "$os.path.join('/data', 'datalist.json')",
        "dataset_dir",
    ),
    "path in a document": (
        lambda b: b.write("docs/README.md", f"# Bundle\n\nsee {MACHINE} for it\n"),
        "docs/README.md",
        "line 3",
        MACHINE,
        "name no machine's folders",
    ),
    "JSON in another form": (
        lambda b: b.write("configs/evaluate.json", b.read("configs/evaluate.json").replace("\n    ", "\n  ")),
        "configs/evaluate.json",
        "line 2",
        None,
        "indent=4",
    ),
    "handler of one's own": (
        lambda b: b.write(LOG, b.read(LOG).replace("class=StreamHandler", "class=mine.Handler")),
        LOG,
        "handler_console#class",
        "mine.Handler",
        "logging.handlers",
    ),
    "computed arguments": (
        lambda b: b.write(LOG, b.read(LOG).replace("args=(sys.stderr,)", "args=(os.path.join('a', 'b'),)")),
        LOG,
        "handler_console#args",
        "(os.path.join('a', 'b'),)",
        "plain values",
    ),
    "download without checksum": (
        lambda b: b.write("large_files.yml", HASHLESS),
        "large_files.yml",
        "large_files#0",
        "models/model.pt",
        "sha256",
    ),
}


@pytest.mark.parametrize(("plant", "file", "key", "value", "mend"), FAULTS.values(), ids=FAULTS.keys())
def test_fault_in_the_files_is_found(
    planted: BundleCopy, plant: Plant, file: str, key: str | None, value: str | None, mend: str
) -> None:
    plant(planted)
    finding = only(planted)
    assert (finding.file, finding.key, finding.value) == (file, key, value)
    assert mend in finding.mend
    assert file in str(finding) and finding.mend in str(finding)


@pytest.mark.skipif(os.name != "posix", reason="modes of files are those of POSIX")
def test_executable_file_is_found(planted: BundleCopy) -> None:
    planted.write("docs/notes.txt", "text\n").chmod(0o755)
    finding = only(planted)
    assert (finding.file, finding.value) == ("docs/notes.txt", "0o755") and "chmod a-x" in finding.mend


def test_links_that_lead_out_or_nowhere_are_found_and_others_are_not(planted: BundleCopy, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (planted.folder / "docs" / "same.md").symlink_to("README.md")
    assert check_static(planted.folder, checks=["V1"]) == []
    (planted.folder / "docs" / "out").symlink_to(tmp_path / "secret")
    assert only(planted).file == "docs/out"
    (planted.folder / "docs" / "out").unlink()
    (planted.folder / "docs" / "gone").symlink_to("nothing.md")
    assert "nowhere" in only(planted).message


def test_weights_may_be_large_and_must_be_in_the_manifest_where_there_is_one(planted: BundleCopy) -> None:
    planted.write("models/model.pt", LARGE)
    assert check_static(planted.folder, checks=["V1"]) == []
    write_manifest(planted.folder)
    assert check_static(planted.folder, checks=["V1"]) == []
    planted.write("models/other.pt", LARGE)
    findings = check_static(planted.folder, checks=["V1"])
    assert {finding.file for finding in findings} == {"models/other.pt", "manifest.json"}
    assert any("manifest.json or large_files.yml" in finding.mend for finding in findings)


def test_text_of_mit_is_known_with_any_owner_and_word_for_word(planted: BundleCopy) -> None:
    planted.write("LICENSE", f"MIT License\n\nCopyright (c) 2026 Somebody\n\n{MIT}")
    assert check_static(planted.folder, checks=["V1"]) == []
    planted.write(
        "LICENSE", f"MIT License\n\nCopyright (c) 2026 Somebody\n\n{MIT.replace('free of charge', 'for a fee')}"
    )
    assert only(planted).file == "LICENSE"


def test_small_numbers_may_be_written_out(planted: BundleCopy) -> None:
    text = planted.read("configs/train.json").replace('"learning_rate": 0.0005', '"learning_rate": 0.00005')
    planted.write("configs/train.json", text)
    assert check_static(planted.folder, checks=["V1"]) == []


@pytest.mark.parametrize(
    "text", ["https://example.org/home/me/x", "OUTPUT_DIR/work/x", "and/or", "--out FOUND", "a:/mnt/x", "1/2"]
)
def test_what_is_no_path_of_a_machine_is_left_alone(planted: BundleCopy, text: str) -> None:
    planted.write("docs/README.md", f"# Bundle\n\n{text}\n")
    planted.edit("train", lambda c: c.update(about=[*c["about"], text]))
    assert check_static(planted.folder, checks=["V1"]) == []


def test_files_and_metadata_are_checked_without_torch_and_monai(planted: BundleCopy) -> None:
    code = (
        "import sys; from radbundles.components.verify import check_static; "
        f"assert check_static({str(planted.folder)!r}, checks=['V1', 'V2']) == []; "
        "assert not {'torch', 'monai'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_folder_that_is_none_and_checks_that_are_none_are_refused(planted: BundleCopy, tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError, match="metadata.json"):
        check_static(tmp_path / "absent")
    with pytest.raises(ValueError, match="V9 is no static check: name some of V1, V2, V3"):
        check_static(planted.folder, checks=["V9"])
