# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""V3 finds what is wrong with the configs of a bundle, without running it: each test plants one fault."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.components.verify.conftest import BundleCopy

from radbundles.components.verify import Finding, check_static

BUNDLES = (
    "dcxfm_dense",
    "dcxfm_pretrain",
    "ecamp_classification",
    "ecamp_detection",
    "ecamp_pretrain",
    "ecamp_segmentation",
)

Config = dict[str, Any]
Edit = Callable[[Config], object]


def only(bundle: BundleCopy) -> Finding:
    findings = check_static(bundle.folder, checks=["V3"])
    assert len(findings) == 1, "\n".join(map(str, findings))
    assert findings[0].check == "V3"
    return findings[0]


@pytest.mark.parametrize("name", BUNDLES)
def test_bundle_passes(name: str, repository: Path) -> None:
    assert check_static(repository / "bundles" / name) == []


def test_every_bundle_is_tried(repository: Path) -> None:
    assert sorted(path.parents[1].name for path in repository.glob("bundles/*/configs/metadata.json")) == list(BUNDLES)


# name: (config, change, file, key, value, word of the message, word of the mend)
FAULTS: dict[str, tuple[str, Edit, str, str | None, str, str]] = {
    "class of radbundles misspelt": (
        "inference",
        lambda c: c["network_def"].update(_target_="radbundles.networks.EncoderSegmentr"),
        "network_def#_target_",
        "radbundles.networks.EncoderSegmentr",
        "has no 'EncoderSegmentr'",
        "did you mean 'EncoderSegmenter'",
    ),
    "class of MONAI misspelt": (
        "train",
        lambda c: c["repeat"].update(_target_="RepeatChannelld"),
        "repeat#_target_",
        "RepeatChannelld",
        "MONAI has no class",
        "did you mean 'RepeatChanneld'",
    ),
    "class of torch misspelt": (
        "train",
        lambda c: c["optimizer"].update(_target_="torch.optim.AdamWW"),
        "optimizer#_target_",
        "torch.optim.AdamWW",
        "has no 'AdamWW'",
        "did you mean 'AdamW'",
    ),
    "class by the file that it is in": (
        "inference",
        lambda c: c["network_def"].update(_target_="radbundles.networks.encoder_segmenter.EncoderSegmenter"),
        "network_def#_target_",
        "radbundles.networks.encoder_segmenter.EncoderSegmenter",
        "not public",
        "name it radbundles.networks.EncoderSegmenter",
    ),
    "module of another module": (
        "train",
        lambda c: c["repeat"].update(_target_="radbundles.components.hub.pack_run.__globals__"),
        "repeat#_target_",
        "radbundles.components.hub.pack_run.__globals__",
        "cannot be called",
        "class or a function",
    ),
    "package that bundles do not know": (
        "inference",
        lambda c: c["network_def"].update(_target_="scripts.net.Net"),
        "network_def#_target_",
        "scripts.net.Net",
        "'scripts' is none",
        "use one of",
    ),
    "argument that is not taken": (
        "train",
        lambda c: c["network_def"].update(num_clases=2),
        "network_def#num_clases",
        "2",
        "takes no argument 'num_clases'",
        "did you mean 'num_classes'",
    ),
    "argument that is missing": (
        "train",
        lambda c: c["parameters"].pop("learning_rate"),
        "parameters#_target_",
        "radbundles.components.engines.layer_decay_groups",
        "lacks 'learning_rate'",
        "add 'learning_rate'",
    ),
    "reserved key misspelt": (
        "train",
        lambda c: c["repeat"].update(_disable_=True),
        "repeat#_disable_",
        "True",
        "does not know this key",
        "did you mean '_disabled_'",
    ),
    "debugger": (
        "train",
        lambda c: c["repeat"].update(_mode_="debug"),
        "repeat#_mode_",
        "debug",
        "debugger",
        "take it out",
    ),
    "expression that does not compile": (
        "train",
        lambda c: c.update(datalist="$os.path.join(@dataset_dir, 'datalist.json'"),
        "datalist",
        "$os.path.join(@dataset_dir, 'datalist.json'",
        "does not compile",
        "mend the Python",
    ),
    "name that nothing defines": (
        "train",
        lambda c: c.update(warmup_epochs="$math.sqrt(@epochs)"),
        "warmup_epochs",
        "$math.sqrt(@epochs)",
        "'math' is not defined",
        "add '$import math' to imports",
    ),
    "import without a name to use": (
        "train",
        lambda c: c["imports"].append("$import os.path"),
        "imports#2",
        "$import os.path",
        "which no expression can spell",
        "import os.path as path",
    ),
    "import of what is not there": (
        "train",
        lambda c: c["imports"].append("$from radbundles.transforms import ECAMP_ENTITIE"),
        "imports#2",
        "$from radbundles.transforms import ECAMP_ENTITIE",
        "cannot be imported",
        "mend the name",
    ),
    "two imports in a line": (
        "train",
        lambda c: c["imports"].append("$import json, math"),
        "imports#2",
        "$import json, math",
        "the first name alone",
        "an import a line",
    ),
    "reference misspelt": (
        "train",
        lambda c: c["train"]["sampler"].update(batch_size="@batch_sise"),
        "train#sampler#batch_size",
        "@batch_sise",
        "there is no 'batch_sise'",
        "did you mean '@batch_size'",
    ),
    "reference within an expression misspelt": (
        "train",
        lambda c: c["train"]["sampler"].update(sizes="$@train#itmes.counts"),
        "train#sampler#sizes",
        "$@train#itmes.counts",
        "there is no 'train#itmes'",
        "did you mean '@train#items'",
    ),
    "reference to metadata that is not there": (
        "inference",
        lambda c: c["model"].update(version="@_meta_#versoin"),
        "model#version",
        "@_meta_#versoin",
        "there is no '_meta_#versoin'",
        "did you mean '@_meta_#version'",
    ),
    "reference that climbs out": (
        "inference",
        lambda c: c["model"].update(version="@####version"),
        "model#version",
        "@####version",
        "climbs out",
        "in full",
    ),
    "reference that is plain text": (
        "train",
        lambda c: c["train"]["sampler"].update(sizes="@train#items.counts"),
        "train#sampler#sizes",
        "@train#items.counts",
        "plain text",
        "write '$@train#items.counts'",
    ),
    "reference in quotes": (
        "train",
        lambda c: c.update(report="$'me@home'"),
        "report",
        "$'me@home'",
        "there is no 'home'",
        "define 'home'",
    ),
    "reference in single quotes of a text": (
        "train",
        lambda c: c.update(report="$f'{@seed} {@epochs!r:{'a'}}'"),
        "report",
        "$f'{@seed} {@epochs!r:{'a'}}'",
        "does not compile",
        "mend the Python",
    ),
    "reference to itself": (
        "train",
        lambda c: c["train"]["sampler"].update(seed="@train#sampler"),
        "train#sampler#seed",
        "@train#sampler",
        "refers to itself",
        "another id",
    ),
    "macro of nothing": (
        "train",
        lambda c: c["train"].update(crop="%validate#fittng"),
        "train#crop",
        "%validate#fittng",
        "there is no 'validate#fittng'",
        "mend the name",
    ),
    "macro of another file": (
        "train",
        lambda c: c["train"].update(crop="%configs/others.json#crop"),
        "train#crop",
        "%configs/others.json#crop",
        "there is no such file",
        "file of the bundle",
    ),
    "circle": (
        "train",
        lambda c: c.update(epochs="$@patience + 1", patience="$@val_interval", val_interval="$@epochs"),
        "epochs",
        "$@patience + 1",
        "epochs -> patience -> val_interval -> epochs",
        "value of its own",
    ),
    "handler that is a reference": (
        "train",
        lambda c: (c.update(progress=c["train"]["handlers"][3]), c["train"]["handlers"].__setitem__(3, "@progress")),
        "train#handlers#3",
        "@progress",
        "_target_ in every handler",
        "in the list itself",
    ),
    "preflight that does not fit": (
        "train",
        lambda c: c["initialize"][0].update(spec=">=9"),
        "initialize#0#spec",
        ">=9",
        "needs radbundles >=9",
        "make spec fit",
    ),
    "preflight that is not first": (
        "inference",
        lambda c: c["initialize"].insert(0, "$os.makedirs(@output_dir, exist_ok=True)"),
        "initialize#0",
        "$os.makedirs(@output_dir, exist_ok=True)",
        "does not ask for a version",
        "radbundles.require",
    ),
    "id that MONAI needs": (
        "inference",
        lambda c: (c.update(judge=c.pop("evaluator")), c.update(run=["$@judge.run()"])),
        "evaluator",
        None,
        "must have this id",
        "define it",
    ),
    "key of an overlay that nothing reads": (
        "evaluate",
        lambda c: c.update(zenith="high"),
        "zenith",
        "high",
        "nothing reads this key",
        "take it out",
    ),
    "key of an overlay misspelt": (
        "evaluate",
        lambda c: c.update(batch_sise=4),
        "batch_sise",
        None,
        "nothing reads this key",
        "did you mean 'batch_size'",
    ),
    "key of an overlay that has nowhere to go": (
        "evaluate",
        lambda c: c.update({"validate#evaluatr#decollate": True}),
        "validate#evaluatr#decollate",
        None,
        "goes into 'validate#evaluatr'",
        "mend the name",
    ),
    "key of an overlay that replaces an entry": (
        "evaluate",
        lambda c: c.update({"train#handlers#4": {"_target_": "StatsHandler"}}),
        "train#handlers#4",
        None,
        "replaces entry 4 of a list",
        "+train#handlers",
    ),
    "key of an overlay that adds the wrong thing": (
        "evaluate",
        lambda c: c.update({"+train#handlers": {"_target_": "StatsHandler"}}),
        "+train#handlers",
        None,
        "adds a dict to a list",
        "only lists add to lists",
    ),
}


@pytest.mark.parametrize(("config", "change", "key", "value", "message", "mend"), FAULTS.values(), ids=FAULTS.keys())
def test_fault_in_the_configs_is_found(
    planted: BundleCopy, config: str, change: Edit, key: str, value: str | None, message: str, mend: str
) -> None:
    if config == "inference":  # what is planted there is found without the others
        (planted.folder / "configs" / "train.json").unlink()
        (planted.folder / "configs" / "evaluate.json").unlink()
    planted.edit(config, change)
    findings = check_static(planted.folder, checks=["V3"])
    found = [finding for finding in findings if finding.key == key and message in finding.message]
    assert len(found) == 1, "\n".join(map(str, findings))
    assert (found[0].check, found[0].file, found[0].value) == ("V3", f"configs/{config}.json", value)
    assert mend in found[0].mend


def test_one_fault_is_one_finding_whatever_is_laid_over_it(planted: BundleCopy) -> None:
    planted.edit("train", lambda c: c["network_def"].update(num_clases=2))
    assert only(planted).key == "network_def#num_clases"


def test_sign_within_quotes_is_found(planted: BundleCopy) -> None:
    planted.edit("train", lambda c: c.update(report="$'me@seed'"))
    assert "within quotes" in only(planted).message


def test_key_that_stands_there_twice_is_found(planted: BundleCopy) -> None:
    text = planted.read("configs/train.json")
    planted.write("configs/train.json", text.replace('"epochs": 30,', '"epochs": 3,\n    "epochs": 30,', 1))
    finding = only(planted)
    assert (finding.file, finding.key) == ("configs/train.json", "epochs") and "take one out" in finding.mend


def test_config_that_cannot_be_read_is_found(planted: BundleCopy) -> None:
    planted.write("configs/evaluate.json", '{\n    "a": 1,,\n}\n')
    finding = only(planted)
    assert finding.file == "configs/evaluate.json" and "line 2: not JSON" in finding.message


def test_reference_that_an_overlay_breaks_names_both_configs(planted: BundleCopy) -> None:
    planted.edit("evaluate", lambda c: c.update({"validate#handlers": []}))
    findings = check_static(planted.folder, checks=["V3"])
    assert {finding.file for finding in findings} == {"configs/train.json"}
    assert all("once configs/evaluate.json is laid over it" in finding.message for finding in findings)


def test_overlay_lies_on_the_configs_that_its_command_names(planted: BundleCopy) -> None:
    command = "Run: python -m monai.bundle run --config_file"
    run = f"{command} \"['configs/train.json','configs/evaluate.json','configs/more.json']\""
    planted.write("configs/more.json", "{}")
    planted.edit("more", lambda c: c.update({"about": [run], "exam#evaluator#decollate": True}))
    assert check_static(planted.folder) == []
    planted.edit("more", lambda c: c.update(about=[]))
    assert "goes into 'exam'" in only(planted).message


def test_yaml_is_checked_as_json_is(planted: BundleCopy) -> None:
    planted.write("configs/more.yaml", "about: []\nbatch_sise: 4\n")
    assert (only(planted).file, only(planted).key) == ("configs/more.yaml", "batch_sise")


def test_nothing_of_the_bundle_is_imported_or_run(planted: BundleCopy, monkeypatch: pytest.MonkeyPatch) -> None:
    marker = planted.folder / "ran"
    planted.write("scripts/__init__.py", f"open({str(marker)!r}, 'w')\n")
    planted.edit("train", lambda c: c.update(report=f"$open({str(marker)!r}, 'w')"))
    planted.edit("train", lambda c: c["repeat"].update(_target_="scripts.Repeat"))
    monkeypatch.chdir(planted.folder)
    monkeypatch.syspath_prepend(str(planted.folder))
    assert check_static(planted.folder, checks=["V3"])
    assert not marker.exists()
