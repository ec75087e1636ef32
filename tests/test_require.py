# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The version preflight of bundle configs."""

from __future__ import annotations

import pytest

import radbundles


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(radbundles, "__version__", "0.10.2")


@pytest.mark.parametrize("spec", ["", ">=0.1,<0.11", ">=0.9", "~=0.10.1", "==0.10.*"])
def test_fitting_version_passes(spec: str) -> None:
    radbundles.require(spec)


def test_pre_release_of_a_fitting_version_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(radbundles, "__version__", "0.11.0.dev3")
    radbundles.require(">=0.10")


@pytest.mark.parametrize("spec", [">=0.11", "<0.10", "==0.10.1", ">=0.1,<0.2"])
def test_other_version_names_both_and_the_mend(spec: str) -> None:
    with pytest.raises(ImportError) as error:
        radbundles.require(spec)
    for part in (f"needs radbundles {spec}", "0.10.2 is installed", f"pip install 'radbundles{spec}'"):
        assert part in str(error.value)


@pytest.mark.parametrize("spec", ["0.1", ">=x", "=> 0.1"])
def test_malformed_specifier_is_shown(spec: str) -> None:
    with pytest.raises(ValueError, match="not a version specifier") as error:
        radbundles.require(spec)
    assert repr(spec) in str(error.value)
