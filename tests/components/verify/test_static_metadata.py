# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""V2 finds what is wrong with the metadata of a bundle: each test plants one fault."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.components.verify.conftest import BundleCopy

from radbundles.components.verify import Finding, check_static

FILE = "configs/metadata.json"
OUTPUTS = "network_data_format#outputs"


def only(bundle: BundleCopy) -> Finding:
    findings = check_static(bundle.folder, checks=["V2"])
    assert len(findings) == 1, findings
    assert findings[0].check == "V2"
    return findings[0]


def tensor(content: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    return content["network_data_format"][kind][name]


def second_output_first(content: dict[str, Any]) -> None:
    outputs = content["network_data_format"]["outputs"]
    content["network_data_format"]["outputs"] = {"logits": outputs["pred"], **outputs}


Edit = Callable[[dict[str, Any]], object]
FAULTS: dict[str, tuple[Edit, str, str | None, str]] = {
    "version of two numbers": (lambda c: c.update(version="0.1"), "version", "0.1", "three numbers"),
    "version not in the changelog": (
        lambda c: c.update(version="0.1.1"),
        "changelog",
        "0.1.1",
        "say what is new in 0.1.1",
    ),
    "newest version not first": (
        lambda c: c.update(changelog={"0.0.9": "older", **c["changelog"]}),
        "changelog",
        "0.0.9",
        "newest version first",
    ),
    "local version of torch": (
        lambda c: c.update(pytorch_version="2.13.0+cpu"),
        "pytorch_version",
        "2.13.0+cpu",
        "without +cpu",
    ),
    "local version of a package": (
        lambda c: c["required_packages_version"].update(torchmetrics="1.9.0+local"),
        "required_packages_version#torchmetrics",
        "1.9.0+local",
        "write 1.9.0",
    ),
    "range in place of a version": (
        lambda c: c["required_packages_version"].update(torchmetrics=">=1.9"),
        "required_packages_version#torchmetrics",
        ">=1.9",
        "exact one",
    ),
    "package older than radbundles allows": (
        lambda c: c["required_packages_version"].update(pydicom="2.4.4"),
        "required_packages_version#pydicom",
        "2.4.4",
        "pydicom>=3",
    ),
    "torch older than radbundles allows": (
        lambda c: c.update(pytorch_version="2.1.0"),
        "pytorch_version",
        "2.1.0",
        "torch>=2.8",
    ),
    "use not told": (
        lambda c: c.update(intended_use="Finds everything."),
        "intended_use",
        "Finds everything.",
        "not a medical device",
    ),
    "key missing": (lambda c: c.pop("authors"), "authors", None, "add it"),
    "output not called pred": (
        lambda c: c["network_data_format"].update(outputs={"logits": tensor(c, "outputs", "pred")}),
        f"{OUTPUTS}#pred",
        None,
        "add it",
    ),
    "another output first": (second_output_first, OUTPUTS, "logits", "put 'pred' first"),
    "channel without a name": (
        lambda c: tensor(c, "outputs", "pred").update(num_channels=3),
        f"{OUTPUTS}#pred#channel_def",
        "2",
        "name every channel",
    ),
    "channels counted from 1": (
        lambda c: tensor(c, "outputs", "pred").update(channel_def={"1": "optic disc", "2": "optic cup"}),
        f"{OUTPUTS}#pred#channel_def",
        "1, 2",
        "0, 1, 2",
    ),
    "unknown data set": (
        lambda c: c["data_sets"]["made_for"].append("chestxray-15"),
        "data_sets",
        None,
        "datasets.json",
    ),
}


@pytest.mark.parametrize(("change", "key", "value", "mend"), FAULTS.values(), ids=FAULTS.keys())
def test_fault_in_the_metadata_is_found(
    planted: BundleCopy, change: Edit, key: str, value: str | None, mend: str
) -> None:
    planted.edit("metadata", change)
    finding = only(planted)
    assert (finding.file, finding.key, finding.value) == (FILE, key, value)
    assert mend in finding.mend


def test_version_of_radbundles_must_fit_what_configs_ask_for(planted: BundleCopy) -> None:
    planted.edit("metadata", lambda c: c["required_packages_version"].update(radbundles="0.2.0"))
    findings = check_static(planted.folder, checks=["V2"])
    assert {finding.message for finding in findings} == {
        f"configs/{name}.json asks for radbundles >=0.1,<0.2" for name in ("evaluate", "inference", "train")
    }
    assert {(finding.file, finding.value) for finding in findings} == {(FILE, "0.2.0")}
    assert all("initialize#0#spec" in finding.mend for finding in findings)


def test_boxes_have_four_corners_and_a_score_for_every_class(copy_of: Callable[[str], BundleCopy]) -> None:
    bundle = copy_of("ecamp_detection")
    assert check_static(bundle.folder, checks=["V2"]) == []
    bundle.edit("metadata", lambda c: tensor(c, "outputs", "pred")["channel_def"].update({"1": "Nodule"}))
    finding = only(bundle)
    assert finding.key == f"{OUTPUTS}#pred#channel_def" and "end in 6" in finding.mend


def test_classes_that_inference_lists_are_those_of_the_metadata(copy_of: Callable[[str], BundleCopy]) -> None:
    bundle = copy_of("dcxfm_dense")
    bundle.edit("inference", lambda c: c["classes"].__setitem__(1, "Edema"))
    finding = only(bundle)
    assert (finding.file, finding.key, finding.value) == (FILE, f"{OUTPUTS}#pred#channel_def#1", "Atelectasis")
    assert "same order" in finding.mend


def test_terms_name_every_data_set(planted: BundleCopy) -> None:
    planted.edit("metadata", lambda c: c["data_sets"]["made_for"].append("vindr-cxr"))
    finding = only(planted)
    assert (finding.file, finding.value) == ("docs/data_license.txt", "VinDr-CXR")
    assert "radbundles card" in finding.mend


def test_key_that_stands_there_twice_is_found(planted: BundleCopy) -> None:
    text = planted.read(FILE)
    planted.write(FILE, text.replace('"version": "0.1.0",', '"version": "0.0.1",\n    "version": "0.1.0",', 1))
    finding = only(planted)
    assert finding.key == "version" and "take one out" in finding.mend


def test_file_that_is_no_json_is_found(planted: BundleCopy) -> None:
    planted.write(FILE, "{\n    version: 1\n}\n")
    assert "line 2: not JSON" in only(planted).message
