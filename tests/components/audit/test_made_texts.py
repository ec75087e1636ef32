# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Texts that stand nowhere in a config and that an expression would make all the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.components.audit.conftest import HARMLESS, MakeBundle, refused

from radbundles.components.audit import audit_bundle


@pytest.mark.parametrize(
    ("expression", "beside"),
    [
        ("$'x/etc/passwd'[1:]", {}),
        ("$@e[1:]", {"e": "x/etc"}),
        ("$min('a/') + 'etc'", {}),
        ("$min(@e)", {"e": "$'a/'"}),
        ("$str() + '/etc'", {}),
        ("$@e + '/etc'", {"e": "$''"}),
        ("$@e + @e + '/x'", {"e": "$'.'"}),
        ("$@e + 'y'", {"e": "$'x.p'"}),
        ("$@e * 2", {"e": "."}),
        ("$@e % 47", {"e": "x%c"}),
        ("$[c for c in 'a/'][1]", {}),
        ("$[b for a, b in ['a/']][0]", {}),
        ("$[*'a/'][1]", {}),
        ("$sorted(@e)[0]", {"e": "a/"}),
        ("$list(reversed(@e))[0]", {"e": "a/"}),
        ("$dict(enumerate(@e)).get(1)", {"e": "a/"}),
        ("$dict(zip([0, 1], @e)).get(1)", {"e": "a/"}),
        ("$dict(['a/']).get('a')", {}),
        ("$list(zip(*@e))[0]", {"e": ["a/", "b/"]}),
        ("$os.path.join('a', 'b')[1]", {}),
        ("$str(0.5)[1]", {}),
        ("$[one[1:] for one in @e]", {"e": ["x/etc"]}),
        ("$@e[0][1:]", {"e": ["x/etc"]}),
        ("$@e[0]", {"e": {"_target_": "Dataset", "data": ["x/etc"], "transform": "$lambda x: x[1:]"}}),
        ("$list(@e)", {"e": {"_target_": "DatasetFunc", "data": "x/etc", "func": "$lambda x: x[1:]"}}),
        ("$@e.data", {"e": {"_target_": "DatasetFunc", "data": "x/etc", "func": "$lambda x: x[1:]"}}),
        ("$@_meta_#home", {}),
        ("$@_meta_.get('home')", {}),
        ("$list(@_meta_.values())", {}),
        ("@_meta_#home", {}),
        ("%configs/metadata.json#home", {}),
    ],
)
def test_texts_that_nobody_has_judged_are_refused(
    make_bundle: MakeBundle, expression: str, beside: dict[str, Any]
) -> None:
    metadata = {"version": "0.1.0", "home": "https://example.org"}
    folder = make_bundle(inference={**beside, "made": expression}, metadata=metadata)
    assert "made" in {finding.key for finding in refused(audit_bundle(folder))}


@pytest.mark.parametrize(
    ("expression", "beside"),
    [
        ("$@e[0]", {"e": ["a", "b"]}),
        ("$@e['a']", {"e": {"a": "b"}}),
        ("$@e + ['c']", {"e": ["a"]}),
        ("$@output_dir + '/models'", {}),
        ("$max(1, @e)", {"e": 2}),
        ("$lambda x: x['pred'][0] * 2.0", {}),
        ("$list(sorted(glob.glob(@output_dir + '/*.png')))", {"imports": ["$import os", "$import glob"]}),
        ("$@e * 2 + @f", {"e": 1, "f": "$@e // 2"}),
        ("$lambda engine: engine.state.output[0]['loss']", {}),
        ("$list(@network_def.parameters())", {}),
        ("$@_meta_.get('version')", {}),
        ("$@_meta_#version", {}),
    ],
)
def test_lists_numbers_and_what_lambdas_are_given_may_be_taken_apart(
    make_bundle: MakeBundle, expression: str, beside: dict[str, Any]
) -> None:
    metadata = {"version": "0.1.0", "home": "https://example.org"}
    report = audit_bundle(make_bundle(inference={**beside, "made": expression}, metadata=metadata))
    assert report.passed, [str(finding) for finding in report.refused]


@pytest.mark.parametrize("key", ["/etc/passwd", "../x", "-1", "01", "\uff11"])
def test_keys_are_judged_as_texts_and_as_places(make_bundle: MakeBundle, key: str) -> None:
    assert refused(audit_bundle(make_bundle(inference={"d": {key: 1}})))


@pytest.mark.parametrize("path", [".bashrc", ".ssh", " /etc/passwd", "simplecache::http://x/y"])
def test_paths_in_disguise_are_refused(make_bundle: MakeBundle, path: str) -> None:
    assert refused(audit_bundle(make_bundle(inference={"x": path})))


def test_what_json_does_not_have_is_refused(make_bundle: MakeBundle) -> None:
    folder = make_bundle()
    text = "a: !!set {'/etc/passwd'}\nb: !!pairs [a: /etc]\nc: !!binary aGk=\nd: 2026-01-01\n"
    (folder / "configs" / "more.yaml").write_text(text, encoding="utf-8")
    assert [finding.key for finding in refused(audit_bundle(folder))] == ["a", "b#0", "c"]


@pytest.mark.parametrize("name", ["x\nmodels", "x\x1b[2J"])
def test_files_with_strange_names_are_refused(make_bundle: MakeBundle, name: str) -> None:
    """MONAI finds the path of a macro line by line, so that ``%x<line break>models/a.json#run`` reads models/a.json."""
    folder = make_bundle(inference={"run": f"%{name}/a.json#run"})
    (folder / name).mkdir()
    (folder / name / "a.json").write_text(json.dumps({"run": 1}), encoding="utf-8")
    messages = " ".join(finding.message for finding in refused(audit_bundle(folder)))
    assert "cannot be printed" in messages and "no plain macro" in messages


def test_long_keys_do_not_multiply(make_bundle: MakeBundle) -> None:
    folder = make_bundle(train={**HARMLESS, "k" * 1_000_000: list(range(10_000))})
    assert any("letters" in finding.message for finding in refused(audit_bundle(folder)))


def test_relative_ids_do_not_multiply(make_bundle: MakeBundle) -> None:
    folder = make_bundle(train={"k" * 900: {"a": "$" + "@#b " * 5000}})
    assert any("characters" in finding.message for finding in refused(audit_bundle(folder)))


@pytest.mark.parametrize(
    "form", ["$@a{} + @a{}", "$@a{} * @a{}", "$os.path.join(@a{}, @a{})", "$[x for x in @a{} + @a{}]"]
)
def test_ids_that_lead_to_others_are_told_once(make_bundle: MakeBundle, form: str) -> None:
    """Each id leads to two others: a judge who forgets would not come to an end."""
    chain: dict[str, Any] = {f"a{place}": form.format(place + 1, place + 2) for place in range(60)}
    assert refused(audit_bundle(make_bundle(inference={**chain, "a60": "x", "a61": "y"})))


def test_floods_of_expressions_are_refused_unseen(make_bundle: MakeBundle) -> None:
    flood = {f"a{place}": "$" + "+".join(["@output_dir"] * 300) for place in range(100)}
    assert any("letters in all" in finding.message for finding in refused(audit_bundle(make_bundle(inference=flood))))
