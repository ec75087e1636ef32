# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
from tests.components.audit.conftest import MakeBundle, only_refused, refused

from radbundles.components.audit import audit_bundle
from radbundles.components.audit import folder as folder_module

LOGGING = """[loggers]
keys=root
[handlers]
keys=console
[formatters]
keys=plain
[logger_root]
level=INFO
handlers=console
[handler_console]
class={kind}
formatter=plain
args={arguments}
[formatter_plain]
class={formatter}
format=%(message)s
"""


@pytest.mark.parametrize(
    "name",
    [
        *("scripts/__init__.py", "torch.py", "lib.so", "run.sh", "x.pyc", "x.dll", "wheel.whl", "x.ipynb", "x.PY"),
        *("unknown.kind", "noending", "archive.zip", "program.onnx"),
    ],
)
def test_code_and_unknown_kinds_are_refused_unless_the_file_is_allowed(make_bundle: MakeBundle, name: str) -> None:
    folder = make_bundle()
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("import os\n", encoding="utf-8")
    assert only_refused(folder).file == name
    assert audit_bundle(folder, allow=[name]).passed


@pytest.mark.parametrize(
    "data", [b"\x7fELF\x02", b"MZ\x90", b"#!/bin/sh\n", b"PK\x03\x04", b"\x1f\x8b\x08", b"cposix\nsystem\n(S'ls'\ntR."]
)
def test_what_a_file_is_counts_and_not_its_name(make_bundle: MakeBundle, data: bytes) -> None:
    folder = make_bundle()
    (folder / "LICENSE").write_bytes(data)
    assert only_refused(folder).file == "LICENSE"


def test_links_are_refused_and_not_followed(make_bundle: MakeBundle, tmp_path: Path) -> None:
    folder = make_bundle()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "evil.py").write_text("1", encoding="utf-8")
    (folder / "linked").symlink_to(outside)
    (folder / "up").symlink_to("..")
    (folder / "LICENSE").symlink_to("/etc/hostname")
    (folder / "gone.txt").symlink_to("nowhere")
    found = refused(audit_bundle(folder))
    assert {finding.file for finding in found} == {"linked", "up", "LICENSE", "gone.txt"}
    assert all("link" in finding.message for finding in found)


def test_links_of_the_cache_of_hugging_face_are_followed(tmp_path: Path, make_bundle: MakeBundle) -> None:
    cache = tmp_path / "models--org--name"
    snapshot = cache / "snapshots" / ("a" * 40)
    (cache / "blobs").mkdir(parents=True)
    (snapshot / "configs").mkdir(parents=True)
    for place, file in enumerate(sorted((make_bundle() / "configs").iterdir())):
        blob = cache / "blobs" / f"{place:040x}"
        blob.write_bytes(file.read_bytes())
        (snapshot / "configs" / file.name).symlink_to(f"../../../blobs/{blob.name}")
    assert audit_bundle(snapshot).passed
    (tmp_path / "secret.txt").write_text("x", encoding="utf-8")
    (snapshot / "evil.txt").symlink_to("../../../secret.txt")
    assert only_refused(snapshot).file == "evil.txt"


def test_pipes_are_refused_and_not_opened(make_bundle: MakeBundle) -> None:
    folder = make_bundle()
    os.mkfifo(folder / "LICENSE")
    assert "no regular file" in only_refused(folder).message


def test_folders_without_end_are_cut_off(make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_bundle()
    (folder / "/".join("d" * 20)).mkdir(parents=True)
    (folder / "/".join("d" * 20) / "x.txt").touch()
    assert "levels" in only_refused(folder).message
    monkeypatch.setattr(folder_module, "MAX_FILES", 2)
    assert any("more than 2 entries" in finding.message for finding in refused(audit_bundle(folder)))


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root reads everything")
def test_files_without_rights_are_findings(make_bundle: MakeBundle) -> None:
    folder = make_bundle()
    (folder / "LICENSE").touch()
    (folder / "LICENSE").chmod(0)
    assert "cannot be read" in only_refused(folder).message


@pytest.mark.parametrize(
    ("kind", "arguments", "formatter", "key"),
    [
        ("StreamHandler", "(sys.stderr,)", "logging.Formatter", None),
        ("FileHandler", "('run.log', 'a')", "logging.Formatter", None),
        ("logging.handlers.RotatingFileHandler", "('run.log', 'a', 1000, 3)", "", None),
        ("StreamHandler", "(__import__('os').system('touch mark'),)", "", "handler_console#args"),
        ("StreamHandler", "(os.system,)", "", "handler_console#args"),
        ("StreamHandler", "[x for x in (1,)]", "", "handler_console#args"),
        ("StreamHandler", "(", "", "handler_console#args"),
        ("FileHandler", "('sitecustomize.py',)", "", "handler_console#args"),
        ("FileHandler", "('/etc/x.log',)", "", "handler_console#args"),
        ("FileHandler", "('../x.log',)", "", "handler_console#args"),
        ("eval", "('1',)", "", "handler_console#class"),
        ("os.system", "('touch mark',)", "", "handler_console#class"),
        ("logging.os.system", "('touch mark',)", "", "handler_console#class"),
        ("handlers.SocketHandler", "('example.org', 80)", "", "handler_console#class"),
        ("handlers.SMTPHandler", "()", "", "handler_console#class"),
        ("StreamHandler", "()", "os.system", "formatter_plain#class"),
        ("StreamHandler", "('%(x)s',)\nx=', __import__('os').system('touch mark'), '", "", "handler_console#args"),
        ("FileHandler", "('x%(x)s.log',)\nx=/../../elsewhere", "", "handler_console#args"),
        ("StreamHandler", "()", "\ndefaults={'x': __import__('os')}", "formatter_plain#defaults"),
    ],
)
def test_settings_of_the_log(
    make_bundle: MakeBundle, kind: str, arguments: str, formatter: str, key: str | None
) -> None:
    folder = make_bundle()
    text = LOGGING.format(kind=kind, arguments=arguments, formatter=formatter)
    (folder / "configs" / "logging.conf").write_text(text, encoding="utf-8")
    if key is None:
        assert audit_bundle(folder).passed
    else:
        assert only_refused(folder).key == key


@pytest.mark.parametrize(
    "text",
    [
        "no section",
        "[a]\nx=1\n[a]\nx=2\n",
        "[DEFAULT]\nargs=(os.system('x'),)\n",
        "x" * 70_000,
        "[handler_a]\nx=1\rkwargs={'stream': os.system('x')}\n",
        "[handler_a]\nx=\u00e9\n",
    ],
)
def test_settings_of_the_log_that_cannot_be_judged_are_refused(make_bundle: MakeBundle, text: str) -> None:
    folder = make_bundle()
    (folder / "configs" / "logging.conf").write_text(text, encoding="utf-8")
    assert only_refused(folder).file == "configs/logging.conf"


GOOD = {
    "path": "models/model.pt",
    "url": "https://example.org/model.pt",
    "hash_type": "sha256",
    "hash_val": "0" * 64,
}


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"path": "../x.pt"}, "path"),
        ({"path": "/etc/x"}, "path"),
        ({"path": "scripts/x.py"}, "path"),
        ({"path": ""}, "path"),
        ({"url": "http://example.org/model.pt"}, "url"),
        ({"url": "file:///etc/passwd"}, "url"),
        ({"url": "https://user@example.org/model.pt"}, "url"),
        ({"hash_val": ""}, "hash_val"),
        ({"hash_val": "0" * 10}, "hash_val"),
        ({"hash_type": "crc32"}, "hash_val"),
        ({"hash_type": None}, "hash_val"),
    ],
)
def test_downloads_without_place_or_checksum_are_refused(
    make_bundle: MakeBundle, change: dict[str, Any], key: str
) -> None:
    folder = make_bundle()
    file = folder / "large_files.yml"
    file.write_text(json.dumps({"large_files": [GOOD]}), encoding="utf-8")
    report = audit_bundle(folder)
    assert report.passed and report.files["https://example.org/model.pt"] == ("large_files.yml: large_files#0",)
    file.write_text(json.dumps({"large_files": [GOOD, {**GOOD, **change}]}), encoding="utf-8")
    assert only_refused(folder).key == f"large_files#1#{key}"


def test_forgeable_checksum_is_noted(make_bundle: MakeBundle) -> None:
    folder = make_bundle()
    weak = {**GOOD, "hash_type": "md5", "hash_val": "0" * 32}
    (folder / "large_files.yml").write_text(json.dumps({"large_files": [weak, weak]}), encoding="utf-8")
    report = audit_bundle(folder)
    assert report.passed and [finding.value for finding in report.findings] == ["md5", "md5"]
    (folder / "large_files.yml").write_text(json.dumps({"large_files": "x"}), encoding="utf-8")
    assert not audit_bundle(folder).passed


def test_downloads_elsewhere_than_at_the_root_are_judged_as_configs(make_bundle: MakeBundle) -> None:
    assert only_refused(make_bundle(large_files={"x": {"_target_": "os.system"}})).key == "x#_target_"


def test_nothing_at_the_path_and_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent"):
        audit_bundle(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    assert not audit_bundle(tmp_path / "empty").passed


def test_one_config_can_be_audited_alone(make_bundle: MakeBundle) -> None:
    folder = make_bundle(inference={"x": "$os.system('x')"})
    assert only_refused(folder / "configs" / "inference.json").file == "inference.json"


def test_archive_of_a_whole_bundle_is_no_bundle(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bundle.zip", "w") as archive:
        archive.writestr("configs/inference.json", "{}")
    assert not audit_bundle(tmp_path / "bundle.zip").passed


@pytest.mark.parametrize("place", ["models/inner/configs", "docs/inner/Configs"])
def test_a_bundle_within_the_bundle_is_judged_too(make_bundle: MakeBundle, mark: Path, place: str) -> None:
    """``pack_run`` builds the network of the bundle that it is pointed to."""
    pack = {"_target_": "radbundles.components.hub.pack_run", "bundle_root": place.rpartition("/")[0]}
    folder = make_bundle(inference={"run": pack})
    (folder / place).mkdir(parents=True)
    content = {"network": f"$__import__('os').system('touch {mark}')"}
    (folder / place / "inference.json").write_text(json.dumps(content), encoding="utf-8")
    assert {finding.file for finding in refused(audit_bundle(folder))} == {f"{place}/inference.json"}


def test_settings_of_a_model_that_are_too_large_to_be_judged_are_refused(make_bundle: MakeBundle) -> None:
    folder = make_bundle()
    (folder / "models" / "config.json").write_text("{" + " " * 5_000_000 + "}", encoding="utf-8")
    assert only_refused(folder).file == "models/config.json"


def test_the_record_of_a_packed_bundle_may_hold_values_of_configs(make_bundle: MakeBundle) -> None:
    folder = make_bundle()
    (folder / "docs").mkdir()
    record = json.dumps({"overrides": {"network_def#norm": {"_target_": "InstanceNorm2d"}}})
    (folder / "docs" / "packed.json").write_text(record, encoding="utf-8")
    assert audit_bundle(folder).passed
    (folder / "docs" / "other.json").write_text(record, encoding="utf-8")
    assert only_refused(folder).file == "docs/other.json"
