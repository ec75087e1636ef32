# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Configs are read as MONAI reads them, without running anything, and whatever a file holds is read or refused."""

from __future__ import annotations

import ast
import copy
import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from radbundles.components.hub.bundle_config import (
    REFERENCE_NAME,
    ConfigFile,
    ConfigFileError,
    expression_tree,
    find,
    macro_parts,
    merge,
    read_config,
    references,
    walk,
)
from radbundles.components.hub.config_file import MAX_BYTES, MAX_DEPTH, MAX_YAML_BYTES

BUNDLES = Path(__file__).parents[3] / "bundles"
OVERLAYS = sorted(path for path in BUNDLES.glob("*/configs/*.json") if path.stem not in ("metadata", "verify"))
LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + at)}: &{chr(98 + at)} [{', '.join(['*' + chr(97 + at)] * 9)}]\n" for at in range(9)
)


def file(tmp_path: Path, name: str, text: str | bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def config(name: str = "one", **content: Any) -> ConfigFile:
    return ConfigFile(Path(f"{name}.json"), name, content)


def test_json_and_yaml_hold_the_same(tmp_path: Path) -> None:
    content = {"train": {"lr": 0.1, "steps": [1, {"_target_": "Compose"}]}, "name": "ä"}
    read = read_config(file(tmp_path, "a.json", json.dumps(content)))
    assert (read.name, read.content, read.duplicates) == ("a", content, ())
    yaml = "train:\n  lr: 0.1\n  steps: [1, {_target_: Compose}]\nname: ä\n"
    assert read_config(file(tmp_path, "b.yaml", yaml)).content == content


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", '{"a": {"b": 1, "b": 2, "c": [{"x": 1, "x": 1, "x": 3}]}, "d": 1}'),
        ("a.yml", "a:\n  b: 1\n  b: 2\n  c:\n  - {x: 1, x: 1, x: 3}\nd: 1\n"),
    ],
)
def test_keys_that_stand_there_twice_are_told_and_the_last_counts(tmp_path: Path, name: str, text: str) -> None:
    read = read_config(file(tmp_path, name, text))
    assert set(read.duplicates) == {"a#b", "a#c#0#x"}
    assert read.content == {"a": {"b": 2, "c": [{"x": 3}]}, "d": 1}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "{}", "name the file .json, .yaml or .yml"),
        ("a.json", '{\n"a": 1,,}', "line 2: not JSON"),
        ("a.json", "[1]", "holds a list: a config is an object"),
        ("a.yaml", "", "holds a NoneType"),
        ("a.yaml", "1: 2", "key 1 is no text: put it in quotes"),
        ("a.yaml", "a: [1,\nb: {", "line 2: not plain YAML"),
        ("a.yaml", 'a: !!python/object/apply:os.system ["true"]', "line 1: not plain YAML"),
        ("a.yaml", "a: &a [*a]", f"deeper than {MAX_DEPTH} levels"),
        ("a.yaml", LAUGHS, "more than 200000 values"),
        ("a.yaml", "[" * 2_000, "nested too deep"),
        ("a.json", "[" * 100_000, "nested too deep"),
        ("a.json", '{"a": ' * 70 + "1" + "}" * 70, f"deeper than {MAX_DEPTH} levels"),
        ("a.json", '{"a": ' + "9" * 5000 + "}", "a.json"),
        ("a.json", b'{\n"a": "\xff"}', "line 2: not UTF-8"),
        ("a.json", b" " * (MAX_BYTES + 1), "larger than"),
        ("a.yaml", b" " * (MAX_YAML_BYTES + 1), "larger than"),
    ],
)
def test_file_that_is_no_config_is_refused(tmp_path: Path, name: str, text: str | bytes, message: str) -> None:
    path = file(tmp_path, name, text)
    with pytest.raises(ConfigFileError) as caught:
        read_config(path)
    assert message in str(caught.value) and str(path) in str(caught.value)


def test_folders_and_files_that_are_not_there_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").mkdir()
    for name in ("a.json", "b.json"):
        with pytest.raises(ConfigFileError, match="there is no such file"):
            read_config(tmp_path / name)


def test_walk_tells_what_each_value_is() -> None:
    content = {
        "imports": ["$import os", "$from torch import nn"],
        "net": {"_target_": "Net", "size": "@size", "path": "$os.path.join(@a, 'b')", "kind": "%net#x"},
        "text": "me@home",
        "rate": 0.5,
        "none": [],
        "broken": "$import",
    }
    assert [(entry.id, entry.key, entry.kind) for entry in walk(content)] == [
        ("imports#0", "0", "import"),
        ("imports#1", "1", "import"),
        ("net#_target_", "_target_", "target"),
        ("net#size", "size", "reference"),
        ("net#path", "path", "expression"),
        ("net#kind", "kind", "macro"),
        ("text", "text", "text"),
        ("rate", "rate", "value"),
        ("none", "none", "value"),
        ("broken", "broken", "expression"),
    ]
    assert [entry.id for entry in walk(content["net"], "net")][0] == "net#_target_"


def test_tree_of_an_expression_names_its_references_in_their_order() -> None:
    text = "$f(@a::b, g=@c#0.d, h=@a::b)"
    tree = expression_tree(text)
    assert isinstance(tree, ast.Expression) and references(text) == ("a#b", "c#0")
    names = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name)]
    assert sorted(names) == sorted(["f", f"{REFERENCE_NAME}0", f"{REFERENCE_NAME}1", f"{REFERENCE_NAME}0"])
    assert isinstance(expression_tree("$import os"), ast.Module)


@pytest.mark.parametrize("text", ["$", "$f(", "$ 1", "$a = 1", "$a; b", "$" + "(" * 5000, "$1\0", "$@a @b"])
def test_what_python_cannot_evaluate_has_no_tree(text: str) -> None:
    with pytest.raises(SyntaxError):
        expression_tree(text)


@pytest.mark.parametrize(
    "text",
    [
        "@a",
        "@a#b::0",
        "@a.b",
        "a@b",
        "$@a",
        "$f(@a#b, @c.d)[@e#0]",
        "$a @ b",
        "@",
        "text",
        "$1",
        "@_meta_#version",
        "@a#",
    ],
)
def test_references_are_those_that_monai_finds(text: str) -> None:
    from monai.bundle.reference_resolver import ReferenceResolver

    found = ReferenceResolver.match_refs_pattern(text)
    assert [ident.replace("#", "::") for ident in references(text)] == list(found)


@pytest.mark.parametrize(
    ("text", "ident"),
    [
        ("@#b", "a#c"),
        ("@##b#0", "x#a#0"),
        ("$@###b + @#c", "x#a#0"),
        ("%##b", "x#a#0"),
        ("@::b", "a"),
        ("@plain", "a#b"),
    ],
)
def test_relative_ids_are_those_that_monai_resolves(text: str, ident: str) -> None:
    from monai.bundle import ConfigParser
    from monai.bundle.reference_resolver import ReferenceResolver

    resolved = ConfigParser.resolve_relative_ids(ident.replace("#", "::"), text)
    if text.startswith("%"):
        assert macro_parts(text, ident) == ("", resolved[1:].replace("::", "#"))
    else:
        wanted = [found.replace("::", "#") for found in ReferenceResolver.match_refs_pattern(resolved)]
        assert list(references(text, ident)) == wanted


def test_relative_id_that_climbs_out_is_refused() -> None:
    with pytest.raises(ConfigFileError, match="a#b: '@####x' climbs out of the config: name the id in full"):
        references("@####x", "a#b")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("%net", ("", "net")),
        ("%net::x", ("", "net#x")),
        ("%dir/c.json#a#b", ("dir/c.json", "a#b")),
        ("%c.yaml", ("c.yaml", "")),
    ],
)
def test_macro_names_a_file_and_an_id(text: str, parts: tuple[str, str]) -> None:
    assert macro_parts(text) == parts


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: f"{path.parents[1].name}/{path.stem}")
def test_bundles_are_merged_as_monai_merges_them(overlay: Path) -> None:
    from monai.bundle import ConfigParser

    evaluation = ["evaluate"] if overlay.stem == "multi_gpu_evaluate" else []
    below = [] if overlay.stem in ("train", "inference") else ["train", *evaluation]
    paths = [*(overlay.with_name(f"{name}.json") for name in below), overlay]
    assert merge([read_config(path) for path in paths]) == ConfigParser.load_config_files([str(path) for path in paths])


@pytest.mark.parametrize(
    "content",
    [
        {"a#b": 2},
        {"a::c#1": 5},
        {"+a": {"z": 1}},
        {"+a#c": [3]},
        {"+new": [1]},
        {"a": 1, "new": {"x": 1}, "new#x": 2},
    ],
)
def test_nested_and_added_keys_are_merged_as_monai_merges_them(tmp_path: Path, content: dict[str, Any]) -> None:
    from monai.bundle import ConfigParser

    base = {"a": {"b": 1, "c": [1, 2]}}
    paths = [file(tmp_path, "base.json", json.dumps(base)), file(tmp_path, "more.json", json.dumps(content))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that "+new" finds nothing to add to
        wanted = ConfigParser.load_config_files([str(path) for path in paths])
    assert merge([read_config(path) for path in paths]) == wanted


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("b#c", 1, "'b#c' goes into 'b', which the configs before it do not have"),
        ("a#x#y", 1, "'a#x#y' goes into 'a#x'"),
        ("a#c#9", 1, "'a#c#9' goes into 'a#c'"),
        ("a#c#x", 1, "has no place 'x'"),
        ("a#b#c", 1, "has no place 'c'"),
        ("+a", [1], "adds a list to a dict"),
        ("+a#b", [1], "adds a list to a int"),
    ],
)
def test_key_that_has_nowhere_to_go_is_refused(key: str, value: Any, message: str) -> None:
    base = config(a={"b": 1, "c": [1, 2]})
    with pytest.raises(ConfigFileError) as caught:
        merge([base, config("two", **{key: value})])
    assert message in str(caught.value) and str(caught.value).startswith("two.json: ")


def test_merging_leaves_the_files_as_they_are() -> None:
    files = [config(a={"b": [1]}), config("two", **{"+a#b": [2]})]
    before = copy.deepcopy(files)
    assert merge(files) == {"a": {"b": [1, 2]}}
    assert files == before


def test_find_names_the_first_part_that_is_missing() -> None:
    content = {"a": {"b": [1]}}
    assert find(content, "a::b#0") == 1
    for ident, missing in {"a#x#y": "a#x", "a#b#1": "a#b#1", "a#b#0#c": "a#b#0#c"}.items():
        with pytest.raises(LookupError) as caught:
            find(content, ident)
        assert str(caught.value) == missing


def test_reading_needs_neither_torch_nor_monai() -> None:
    code = (
        "import sys, radbundles.components.hub.bundle_config as c; "
        f"c.merge([c.read_config({str(OVERLAYS[0])!r})]); assert not {{'torch', 'monai'}} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
