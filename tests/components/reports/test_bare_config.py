# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Configs without folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from radbundles.components.reports import bare_config, config_sha256


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("/srv/me/run/c.json", "c.json"),
        ("/srv/My Name/run", "run"),
        ("/data", "data"),
        ("~/runs/a", "a"),
        (r"C:\Users\me\a.json", "a.json"),
        (r"\\server\share\a.json", "a.json"),
        ("file:///srv/me/x.json", "x.json"),
        ("$torch.load('/a/b/m.pt')", "$torch.load('m.pt')"),
        ("$torch.load('/srv/My Name/m.pt')", "$torch.load('m.pt')"),
        ("['/a/b/c', '/d/e/f']", "['c', 'f']"),
        ("--data=/srv/me/x", "--data=x"),
    ],
)
def test_absolute_path_is_cut_to_its_last_part(text: str, bare: str) -> None:
    assert bare_config(text) == bare


@pytest.mark.parametrize(
    "text",
    [
        "models/model.pt",
        "./a/b",
        "$@steps // 2",
        "$@x/2/3",
        "$(@a)/(@b)/(@c)",
        "$len(@x)/2/3",
        "https://host.org/a/b.json",
        "@train#handlers",
        "findings and/or impression",
    ],
)
def test_what_is_no_absolute_path_stays(text: str) -> None:
    assert bare_config(text) == text


def test_nested_values_become_json() -> None:
    config = {"a": [Path("/x/y"), (1, 2.5)], "b": {"c": None, "d": True}}
    assert bare_config(config) == {"a": ["y", [1, 2.5]], "b": {"c": None, "d": True}}


def test_value_without_lasting_text_is_refused() -> None:
    with pytest.raises(TypeError, match="not object"):
        bare_config({"a": object()})


def test_hash_knows_content_only() -> None:
    assert config_sha256({"a": 1, "b": "/srv/me/x"}) == config_sha256({"b": "/other/x", "a": 1})
    assert config_sha256({"a": 1}) != config_sha256({"a": 2})
    # Worked by hand: sha256 of {"a":1}
    assert config_sha256({"a": 1}) == "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"
