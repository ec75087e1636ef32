# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.components.audit.conftest import MakeBundle, only_refused, refused

from radbundles.components.audit import audit_bundle


def test_harmless_bundle_passes(make_bundle: MakeBundle) -> None:
    report = audit_bundle(make_bundle())
    assert report.passed and not report.findings
    assert report.targets == {"monai": ("UNet",)}
    assert report.expressions["configs/inference.json: run#0"] == ("os.makedirs",)
    assert report.files["os.makedirs(@output_dir, exist_ok=True)"] == ("configs/inference.json: run#0",)


@pytest.mark.parametrize(
    ("target", "origin"),
    [
        ("os.system", "standard library"),
        ("eval", "standard library"),
        ("__import__", "standard library"),
        ("subprocess.Popen", "standard library"),
        ("torch.serialization.os.system", "torch"),
        ("torch.load", "torch"),
        ("torch.hub.load", "torch"),
        ("torch.nn.modules.module.functools.partial", "torch"),
        ("radbundles.components.hub.pack.os", "radbundles"),
        ("radbundles.components.hub.machine.subprocess.run", "radbundles"),
        ("radbundles.components.publish.publish_bundle", "radbundles"),
        ("radbundles.networks.ECAMP.__init__", "radbundles"),
        ("monai.utils.module.instantiate", "monai"),
        ("monai.bundle.run", "monai"),
        ("monai.transforms.io.array.locate", "monai"),
        ("instantiate", "monai"),
        ("download_url", "monai"),
        ("PerceptualLoss", "monai"),
        ("MLFlowHandler", "monai"),
        ("LogfileHandler", "monai"),
        ("somewhere.else.Thing", "third party"),
    ],
)
def test_targets_beyond_the_exact_list_are_refused(
    make_bundle: MakeBundle, mark: Path, target: str, origin: str
) -> None:
    folder = make_bundle(inference={"evil": {"_target_": target, "command": f"touch {mark.name}"}})
    found = only_refused(folder)
    assert (found.key, found.value) == ("evil#_target_", target)
    assert target in audit_bundle(folder).targets[origin]
    assert audit_bundle(folder, allow=[target]).passed


@pytest.mark.parametrize(
    "value",
    [
        "$torch.load",
        "@run",
        "%run",
        "$'os.' + 'system'",
        5,
        None,
        ["os.system"],
        {"_target_": "UNet"},
        "os.system\n",
        "",
    ],
)
def test_computed_targets_are_refused(make_bundle: MakeBundle, value: Any) -> None:
    found = refused(audit_bundle(make_bundle(inference={"evil": {"_target_": value}})))
    assert any("_target_" in (finding.key or "") and "as a _target_" in finding.message for finding in found)


@pytest.mark.parametrize("key", ["network_def#_target_", "network_def::_target_", "+network_def#_target_"])
def test_targets_set_by_nested_keys_of_overlays_are_seen(make_bundle: MakeBundle, key: str) -> None:
    assert only_refused(make_bundle(train={key: "os.system"})).value == "os.system"


def test_targets_and_expressions_of_metadata_are_seen(make_bundle: MakeBundle) -> None:
    found = refused(
        audit_bundle(
            make_bundle(
                metadata={"task": {"_target_": "os.system"}, "name": "$print('x')", "about": "$import antigravity"}
            )
        )
    )
    assert {finding.key for finding in found} == {"task#_target_", "name", "about"}


@pytest.mark.parametrize("name", ["reader", "writer", "merger_cls"])
@pytest.mark.parametrize("value", ["os.system", "@run", "$torch.load", ["PILReader", "os.system"]])
def test_arguments_that_monai_looks_up_and_calls_are_targets(make_bundle: MakeBundle, name: str, value: Any) -> None:
    load = {"_target_": "LoadImaged", "keys": "image", name: value, "command": "touch mark"}
    found = refused(audit_bundle(make_bundle(inference={"load": load})))
    assert any((finding.key or "").startswith(f"load#{name}") and "calls" in finding.message for finding in found)


def test_known_readers_pass(make_bundle: MakeBundle) -> None:
    load = {"_target_": "LoadImaged", "keys": "image", "reader": ["PILReader", "monai.data.ITKReader"]}
    assert audit_bundle(make_bundle(inference={"load": load})).passed


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("allow_pickle", True),
        ("weights_only", False),
        ("weights_only", "$1 > 2"),
        ("trust_remote_code", True),
        ("auto_map", "x.Y"),
        ("_debug_", True),
        ("_mode_", "debug"),
        ("_mode_", "@run"),
        ("attn_implementation", "someone/kernel"),
        ("_attn_implementation", "someone/kernel"),
        ("quantization_config", {"load": 8}),
    ],
)
def test_arguments_that_run_pickles_or_fetch_code_are_refused(
    make_bundle: MakeBundle, argument: str, value: Any
) -> None:
    found = refused(audit_bundle(make_bundle(inference={"x": {"_target_": "UNet", argument: value}})))
    assert found
    # A dict holds its fault below its own key.
    assert all((finding.key or "").startswith(f"x#{argument}") for finding in found)


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../../elsewhere",
        "models/../../x",
        "~/.bashrc",
        "C:\\Windows\\x",
        "\\\\host\\share",
        "runs/.ssh/config",
        "./sitecustomize.py",
        "runs/hook.sh",
        "file:///etc/passwd",
        "http://example.org/x",
        "s3://bucket/x",
        "a\0b",
    ],
)
def test_paths_that_leave_the_folder_are_refused(make_bundle: MakeBundle, path: str) -> None:
    assert only_refused(make_bundle(inference={"output_dir": path})).key == "output_dir"


@pytest.mark.parametrize("path", [".", "./runs", "models/model.pt", ".png", "and/or", "see ../docs of it"])
def test_plain_paths_and_prose_pass(make_bundle: MakeBundle, path: str) -> None:
    assert audit_bundle(make_bundle(inference={"output_dir": path})).passed


@pytest.mark.parametrize(
    "macro",
    [
        "%/etc/passwd.json#x",
        "%../other.json#x",
        "%docs/hidden.json#x",
        "%configs/absent.json#x",
        "%imports#0",
        "%imports",
    ],
)
def test_macros_reach_nothing_but_configs(make_bundle: MakeBundle, macro: str) -> None:
    assert only_refused(make_bundle(inference={"x": macro})).key == "x"


def test_macros_of_configs_of_the_bundle_pass(make_bundle: MakeBundle) -> None:
    assert audit_bundle(
        make_bundle(train={"x": 1}, inference={"x": "%configs/train.json#x", "y": "%output_dir"})
    ).passed


def test_reference_to_an_import_is_refused(make_bundle: MakeBundle) -> None:
    assert "import" in only_refused(make_bundle(inference={"x": "@imports#0"})).message
    assert "import" in only_refused(make_bundle(inference={"deep": {"x": ["@###imports#0"]}})).message


def test_keys_cannot_bring_code_through_relative_ids(make_bundle: MakeBundle, mark: Path) -> None:
    # MONAI puts the key into the expression as it stands; it then runs.
    key = f"y if torch.serialization.os.system('touch {mark}') else @q"
    found = refused(audit_bundle(make_bundle(inference={"y": 1, "q": {"a": 3}, key: {"a": 1, "b": "$@#a"}})))
    assert any("torch.serialization.os.system" in finding.message for finding in found)
    assert any("relative" in finding.message for finding in found)


def test_relative_ids_between_plain_keys_pass(make_bundle: MakeBundle) -> None:
    assert audit_bundle(make_bundle(inference={"x": {"a": 1, "b": "$@#a + 1", "c": "@#a"}})).passed


def test_duplicate_keys_are_refused(make_bundle: MakeBundle) -> None:
    folder = make_bundle()
    (folder / "configs" / "train.json").write_text('{"a": {"b": 1, "b": 2}}', encoding="utf-8")
    assert only_refused(folder).key == "a#b"


def test_one_name_for_two_modules_is_refused(make_bundle: MakeBundle) -> None:
    found = only_refused(make_bundle(train={"imports": ["$import math as os"]}))
    assert "elsewhere" in found.message


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tag.yaml", "x: !!python/object/apply:os.system ['touch mark']\n"),
        ("own.yaml", "x: !evil {}\n"),
        (
            "bomb.yaml",
            "a: &a [x,x,x,x,x,x,x,x,x]\n"
            + "".join(f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
        ),
        ("loop.yaml", "x: &a [*a]\n"),
        ("deep.json", "[" * 100_000),
        ("deeper.json", '{"a":' * 5000 + "1" + "}" * 5000),
        ("list.json", "[1]"),
        ("broken.json", '{"a": '),
        ("latin.json", b'{"a": "\xff"}'),
    ],
)
def test_configs_that_cannot_be_read_are_findings(make_bundle: MakeBundle, name: str, text: str | bytes) -> None:
    folder = make_bundle()
    (folder / "configs" / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    found = only_refused(folder)
    assert found.file == f"configs/{name}" and "cannot be read" in found.message
    assert str(folder) not in str(found)


def test_config_hidden_among_the_documents_is_refused(make_bundle: MakeBundle) -> None:
    folder = make_bundle()
    (folder / "docs").mkdir()
    (folder / "docs" / "extra.json").write_text('{"x": {"\\u005ftarget_": "os.system"}}', encoding="utf-8")
    assert only_refused(folder).file == "docs/extra.json"


def test_escape_sequences_never_reach_the_terminal(make_bundle: MakeBundle) -> None:
    found = refused(audit_bundle(make_bundle(inference={"x": {"_target_": "\x1b[2J" + "a" * 5000}})))
    assert found and all("\x1b" not in str(one) and len(str(one)) < 800 for one in found)


@pytest.mark.parametrize("sign", ["\x1b[2J", "\x07", "\x9b", "\u202e"])
def test_texts_with_signs_that_terminals_obey_are_refused(make_bundle: MakeBundle, sign: str) -> None:
    """Commands print versions, class names and messages of bundles that the audit has let through."""
    folder = make_bundle(metadata={"version": f"0.1.0{sign}"})
    assert only_refused(folder).key == "version"
    folder = make_bundle(inference={"x": {sign: 1}}, metadata={"version": "0.1.0"})
    assert only_refused(folder).file == "configs/inference.json"


def test_a_flood_of_findings_is_bounded_and_still_refused(make_bundle: MakeBundle) -> None:
    flood = {f"x{place}": {"_target_": f"evil.Number{place}"} for place in range(3000)}
    report = audit_bundle(make_bundle(inference=flood))
    assert not report.passed and len(report.findings) == 1000
