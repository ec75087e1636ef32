# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What the repository holds, and what it must not."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOP_LEVEL = {
    ".ci", ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md", "bundles", "components",
    "constraints.txt", "docs", "losses", "networks", "pyproject.toml", "src", "tests", "transforms",
}  # fmt: skip
LINKS = ("bundles", "components", "losses", "networks", "transforms")
HEADER = "# Copyright (c) RadBundles contributors\n# SPDX-License-Identifier: Apache-2.0\n"
MEBIBYTE = 2**20

# Spelt so that this file does not hold what it looks for.
MACHINE_PATHS = re.compile(r"(?<![\w.~$}/:])/(?:" + "|".join(("work", "root", "home", "Users")) + r")/\w|/tmp/[a-z]")
REGISTRY_HOSTS = re.compile("|".join((r"pypi\.(?:org|python)", r"files\.pythonhosted", r"download\.pytorch\.org")))


@pytest.fixture(scope="module")
def tracked(repository: Path) -> list[Path]:
    if not (repository / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout")
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=repository, capture_output=True, text=True, check=True)
    # A file deleted but not yet committed is still listed.
    return [repository / name for name in listing.stdout.split("\0") if name and (repository / name).exists()]


def texts(paths: list[Path]) -> dict[Path, str]:
    found = {}
    for path in paths:
        try:
            found[path] = "" if path.is_dir() else path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # pictures and other binary files
    return found


def test_top_level_holds_the_agreed_names_alone(tracked: list[Path], repository: Path) -> None:
    present = {path.relative_to(repository).parts[0] for path in tracked}
    assert present - TOP_LEVEL == set()
    assert TOP_LEVEL - present == set()


@pytest.mark.parametrize("name", LINKS)
def test_package_reaches_each_folder_by_a_relative_link(name: str, repository: Path) -> None:
    link = repository / "src" / "radbundles" / name
    assert link.is_symlink() and link.readlink().as_posix() == f"../../{name}"
    assert link.resolve() == repository / name


@pytest.mark.parametrize("pattern", [MACHINE_PATHS, REGISTRY_HOSTS], ids=["machine paths", "registry hosts"])
def test_no_tracked_text_names(pattern: re.Pattern[str], tracked: list[Path], repository: Path) -> None:
    offences = [
        f"{path.relative_to(repository)}:{number}: {line.strip()[:120]}"
        for path, text in texts(tracked).items()
        if path.name != "test_repository.py"
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]
    assert not offences


@pytest.mark.parametrize("text", ["/ho" + "me/user/x", "see /wo" + "rk/main", '"/ro' + 'ot/data"', "/t" + "mp/out"])
def test_machine_paths_are_recognized(text: str) -> None:
    assert MACHINE_PATHS.search(text)


@pytest.mark.parametrize("text", ["frame/work/flow", "https://host.org/home/page", "~/work/x", "shared/data"])
def test_other_paths_are_left_alone(text: str) -> None:
    assert not MACHINE_PATHS.search(text)


def test_every_python_file_opens_with_the_licence(tracked: list[Path], repository: Path) -> None:
    python = [path for path in tracked if path.suffix == ".py"]
    assert python
    wrong = [str(path.relative_to(repository)) for path in python if not path.read_text().startswith(HEADER)]
    assert not wrong


def test_no_tracked_file_is_larger_than_a_mebibyte(tracked: list[Path], repository: Path) -> None:
    large = [str(path.relative_to(repository)) for path in tracked if path.stat().st_size > MEBIBYTE]
    assert not large


def test_bundles_hold_no_python(tracked: list[Path], repository: Path) -> None:
    held = [str(path) for path in tracked if path.suffix == ".py" and (repository / "bundles") in path.parents]
    assert not held


def test_ruff_sees_every_python_file(tracked: list[Path], repository: Path) -> None:
    # ruff does not follow links to folders: pointed at src alone it would pass over the whole library.
    command = [sys.executable, "-m", "ruff", "check", "--show-files"]
    run = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True)
    seen = set(run.stdout.splitlines())
    assert [str(path) for path in tracked if path.suffix == ".py" and str(path) not in seen] == []


def test_mypy_sees_every_module_through_the_links(tracked: list[Path], repository: Path) -> None:
    from mypy.find_sources import create_source_list
    from mypy.options import Options

    options = Options()
    options.explicit_package_bases = True
    options.mypy_path = [str(repository / "src")]
    seen = {source.module for source in create_source_list([str(repository / "src")], options)}
    for path in tracked:
        relative = path.relative_to(repository)
        if path.suffix == ".py" and relative.parts[0] in LINKS:
            parts = ("radbundles", *relative.with_suffix("").parts)
            assert ".".join(parts[:-1] if parts[-1] == "__init__" else parts) in seen


def test_lint_runs_ruff_on_the_whole_checkout(repository: Path) -> None:
    makefile = (repository / "Makefile").read_text()
    assert "\t$(BIN)/ruff check\n" in makefile and "\t$(BIN)/ruff format --check\n" in makefile


def test_every_released_version_is_in_the_changelog(repository: Path) -> None:
    import radbundles

    assert f"\n## [{radbundles.__version__}]" in (repository / "CHANGELOG.md").read_text()
