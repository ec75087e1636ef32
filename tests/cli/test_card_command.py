# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""``radbundles card``."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

import radbundles.cli.card_command  # noqa: F401
from radbundles.cli.app import app


@pytest.fixture
def folder(tmp_path: Path, repository: Path) -> Path:
    copy = shutil.copytree(repository / "bundles" / "ecamp_detection", tmp_path / "ecamp_detection")
    (copy / "docs" / "README.md").write_text("# Something else\n")
    return copy


def test_check_shows_the_difference_and_writes_nothing(folder: Path) -> None:
    result = CliRunner().invoke(app, ["card", str(folder), "--check"])
    assert result.exit_code == 1
    assert "-# Something else" in result.stdout and "+# ECAMP detection" in result.stdout and "1 stale" in result.stderr
    assert (folder / "docs" / "README.md").read_text() == "# Something else\n"


def test_writing_makes_the_check_pass(folder: Path) -> None:
    result = CliRunner().invoke(app, ["card", str(folder)], env={"COLUMNS": "400"})
    assert result.exit_code == 0 and result.stdout == f"{folder / 'docs' / 'README.md'}: written\n"
    result = CliRunner().invoke(app, ["card", str(folder), "--check"])
    assert result.exit_code == 0 and result.stdout == "all are as they should be\n"


def test_page_of_licenses_can_be_written_and_checked_alone(tmp_path: Path) -> None:
    page = tmp_path / "licenses.md"
    assert CliRunner().invoke(app, ["card", "--check", "--licenses", str(page)]).exit_code == 1
    assert CliRunner().invoke(app, ["card", "--licenses", str(page)]).exit_code == 0
    assert page.read_text(encoding="utf-8").startswith("# Licenses of data")
    assert CliRunner().invoke(app, ["card", "--check", "--licenses", str(page)]).exit_code == 0


@pytest.mark.parametrize("arguments", [[], ["--check"], ["--all", "ecamp_detection"], ["no_such_bundle"]])
def test_nothing_named_or_too_much_is_refused(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, ["card", *arguments])
    assert result.exit_code == 2 and result.stdout == ""


def test_fault_of_a_bundle_is_named(folder: Path) -> None:
    (folder / "docs" / "sections.md").write_text("## Dta\n")
    result = CliRunner().invoke(app, ["card", str(folder)], env={"COLUMNS": "400"})
    assert result.exit_code == 2 and "did you mean" in result.stderr
