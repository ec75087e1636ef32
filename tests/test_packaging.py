# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Wheel and sdist hold every file of the package as a real file, although a checkout reaches most through links."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

import radbundles

FOLDERS = ("bundles", "components", "losses", "networks", "transforms")


def git_files(repository: Path) -> list[str]:
    """Files of the checkout, also new ones, without what git ignores and without those deleted but not committed."""
    if not (repository / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True).stdout
    return sorted({name for name in listing.split("\0") if name and (repository / name).exists()})


@pytest.fixture(scope="module")
def expected(repository: Path) -> set[str]:
    """Paths that the package must hold, relative to the folder that holds ``radbundles``."""
    files = set()
    for name in git_files(repository):
        if name.startswith("src/radbundles/") and not (repository / name).is_symlink():
            files.add(name.removeprefix("src/"))
        elif name.split("/")[0] in FOLDERS:
            files.add(f"radbundles/{name}")
    return files


@pytest.fixture(scope="module")
def checkout(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean copy of the checkout, links kept: builds write into it, and leftovers of other builds are not there."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in git_files(repository):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(repository / name, copy / name, follow_symlinks=False)
    return copy


def build(source: Path, kind: str, out: Path) -> Path:
    """Build ``kind`` (``wheel`` or ``sdist``) from ``source`` with the installed setuptools."""
    command = [sys.executable, "-m", "build", "--no-isolation", f"--{kind}", "--outdir", str(out), str(source)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-2000:]
    (artefact,) = out.iterdir()
    return artefact


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(checkout, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(checkout, "sdist", tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel_of_sdist(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    unpacked = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(unpacked, filter="data")
    (source,) = unpacked.iterdir()
    return build(source, "wheel", tmp_path_factory.mktemp("wheel_of_sdist"))


def package_files(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if not name.split("/")[0].endswith(".dist-info")}


def test_wheel_holds_the_package_and_nothing_else(wheel: Path, expected: set[str]) -> None:
    assert package_files(wheel) == expected


def test_wheel_built_from_the_sdist_is_the_same(wheel: Path, wheel_of_sdist: Path) -> None:
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(wheel_of_sdist) as other:
        assert package_files(wheel) == package_files(wheel_of_sdist)
        assert all(one.read(name) == other.read(name) for name in package_files(wheel))


def test_sdist_holds_real_files(sdist: Path, expected: set[str]) -> None:
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
    assert all(member.isfile() or member.isdir() for member in members), "links in the sdist"
    names = {member.name.split("/", 1)[1] for member in members if member.isfile()}
    assert {name.removeprefix("src/") for name in names if name.startswith("src/radbundles/")} == expected
    assert {"LICENSE", "README.md", "pyproject.toml"} <= names


def test_wheel_says_what_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = HeaderParser().parsestr(archive.read(name).decode())
        assert name.replace("METADATA", "licenses/LICENSE") in archive.namelist()
    assert (metadata["Name"], metadata["Version"]) == ("radbundles", radbundles.__version__)
    assert metadata["License-Expression"] == "Apache-2.0"
    assert set(metadata.get_all("Provides-Extra") or []) == {"dev", "docs", "jpeg", "onnx", "openai"}


def test_installed_wheel_imports_and_finds_its_bundles(
    wheel: Path, tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "target"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target)]
    subprocess.run([*install, str(wheel)], check=True, capture_output=True)
    monkeypatch.setenv("PYTHONPATH", str(target))
    monkeypatch.delenv("RADBUNDLES_PATH", raising=False)
    code = (
        "import radbundles, radbundles.components, radbundles.losses, radbundles.networks, radbundles.transforms\n"
        "from radbundles.components.hub import find_bundles\n"
        "print(radbundles.__file__)\n"
        "print(*(f'{bundle.name}:{bundle.origin}' for bundle in find_bundles()))\n"
    )
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
    file, bundles = run.stdout.splitlines()
    assert Path(file) == target / "radbundles" / "__init__.py"
    shipped = sorted(path.parents[1].name for path in (repository / "bundles").glob("*/configs/metadata.json"))
    assert bundles.split() == [f"{name}:wheel" for name in shipped]
