# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A bundle that brings the code it needs, for those who cannot install this package."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

import radbundles
from radbundles.components.export.import_closure import PACKAGE, ImportClosure
from radbundles.components.export.rename_package import rename_package
from radbundles.components.hub.config_file import ConfigFileError, leaves, read_config
from radbundles.components.hub.packed_folder import read_json, whole_folder, write_json

SCRIPTS = "scripts"
"""Folder and package of the code; MONAI's name for it."""
_HEADER = "# Copyright (c) RadBundles contributors\n# SPDX-License-Identifier: Apache-2.0\n"
_DOTTED = re.compile(rf"\b{PACKAGE}(?:\.\w+)+")
_IMPORT = re.compile(rf"\bfrom\s+({PACKAGE}(?:\.\w+)+)\s+import\s+(\w+(?:\s*,\s*\w+)*)")
_LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "eval", "manifest.json")
# What metadata says of by keys of its own.
_NAMED_APART = {"torch", "monai", "numpy"}
# What MONAI imports only where it is there: its command line, its bars, its Swin transformer.
_OF_MONAI = {"fire", "tqdm", "einops"}


@dataclass(frozen=True)
class Vendored:
    """A bundle with its code.

    Args:
        folder: where it is.
        modules: dotted names of the modules of this package that it has a copy of.
        data: their data files, relative to the package.
        packages: other packages that they import, with the versions installed here.
    """

    folder: Path
    modules: tuple[str, ...]
    data: tuple[str, ...]
    packages: dict[str, str]


def vendor_bundle(folder: str | os.PathLike[str], out: str | os.PathLike[str]) -> Vendored:
    """Copy a bundle with the modules of this package that its configs need, so that it runs without the package.

    The modules come into ``scripts``, with imports and names of components changed to ``scripts.…`` there and in the
    configs, and the check for this package's version goes. Which modules are needed is read from the source, nothing is
    imported. MONAI finds ``scripts`` only from the bundle's folder or with ``PYTHONPATH``, and two such bundles cannot
    share one process: the package is the better way wherever it can be installed.

    Args:
        folder: the bundle.
        out: folder to make; appears whole or not at all.

    Returns:
        What was copied.

    Raises:
        FileExistsError: if ``out`` is there already.
        FileNotFoundError: if the folder is no bundle.
        ValueError: if the bundle has scripts already, or a config names something that this package does not have.
    """
    root, out = Path(folder), Path(out)
    if not (root / "configs" / "metadata.json").is_file():
        raise FileNotFoundError(f"{root} is no bundle: it has no configs/metadata.json")
    if (root / SCRIPTS).exists():
        raise ValueError(f"{root} has {SCRIPTS} already: it brings its own code")
    configs = {path.name: _config(path) for path in sorted((root / "configs").iterdir()) if _is_config(path)}
    names = {name: place for file, content in configs.items() for name, place in _names(file, content)}
    closure = ImportClosure(())
    for name, place in names.items():
        try:
            closure.need(name)
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from error
    packages = _versions(closure.third_party | _OF_MONAI)
    data = closure.data_files()
    with whole_folder(out) as partial:
        shutil.copytree(root, partial, ignore=_LEFT_OUT, dirs_exist_ok=True)
        for file, content in configs.items():
            write_json(partial / "configs" / file, _renamed(content, file))
        metadata = read_json(partial / "configs" / "metadata.json")
        required = {key: value for key, value in metadata["required_packages_version"].items() if key != PACKAGE}
        metadata["required_packages_version"] = {**required, **{k: v for k, v in packages.items() if k not in required}}
        write_json(partial / "configs" / "metadata.json", metadata)
        _write_scripts(partial, closure, data)
        made = Vendored(out, tuple(sorted(closure.modules)), tuple(path.as_posix() for path in data), packages)
        _tell(partial, made, metadata)
    return made


def _is_config(path: Path) -> bool:
    if path.suffix in (".yaml", ".yml"):
        raise ValueError(f"configs/{path.name} is YAML, but JSON is read here: convert it")
    return path.suffix == ".json" and path.name != "metadata.json"


def _config(path: Path) -> dict[str, Any]:
    try:
        return read_config(path).content
    except ConfigFileError as error:
        raise ValueError(str(error)) from error


def _names(file: str, content: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Names of this package that a config asks for, and where."""
    for ident, key, value in leaves(_without_preflight(content), ""):
        place = f"configs/{file}: {ident}"
        if not isinstance(value, str):
            continue
        if key == "_target_" and value.startswith(f"{PACKAGE}."):
            yield value, place
        elif value.startswith("$"):
            for module, imported in _IMPORT.findall(value):
                yield from ((f"{module}.{name.strip()}", place) for name in imported.split(","))
            yield from ((name, place) for name in _DOTTED.findall(_IMPORT.sub("", value)))


def _without_preflight(content: dict[str, Any]) -> dict[str, Any]:
    """Leave out the check for this package's version, and the list of what is done first if nothing else is in it."""
    steps = content.get("initialize")
    if not isinstance(steps, list):
        return content
    kept = [step for step in steps if not _is_preflight(step)]
    others = {key: value for key, value in content.items() if key != "initialize"}
    return {key: kept if key == "initialize" else value for key, value in content.items()} if kept else others


def _is_preflight(step: Any) -> bool:
    if isinstance(step, dict):
        return step.get("_target_") == f"{PACKAGE}.require"
    return isinstance(step, str) and re.match(rf"\$\s*__import__\(['\"]{PACKAGE}['\"]\)\.require\(", step) is not None


def _renamed(content: dict[str, Any], file: str) -> dict[str, Any]:
    def rename(value: Any, key: str) -> Any:
        if isinstance(value, dict):
            return {name: rename(one, name) for name, one in value.items()}
        if isinstance(value, list):
            return [rename(one, key) for one in value]
        if not isinstance(value, str) or not (key == "_target_" or value.startswith("$")):
            return value
        renamed = _DOTTED.sub(lambda found: SCRIPTS + found[0].removeprefix(PACKAGE), value)
        if re.search(rf"\b{PACKAGE}\b", renamed):
            raise ValueError(f"configs/{file}: {key}: {value!r} needs {PACKAGE} itself: name what it takes of it")
        return renamed

    made: dict[str, Any] = rename(_without_preflight(content), "")
    return made


def _write_scripts(folder: Path, closure: ImportClosure, data: list[Path]) -> None:
    scripts = folder / SCRIPTS
    for package in closure.packages:
        target = scripts.joinpath(*package.split(".")[1:], "__init__.py")
        target.parent.mkdir(parents=True, exist_ok=True)
        lines = [f'{_HEADER}"""Part of {PACKAGE} {radbundles.__version__}."""\n\nfrom __future__ import annotations\n']
        if package == PACKAGE:
            lines.append(f'__version__ = "{radbundles.__version__}"\n')
        if exports := closure.reexports(package):
            lines.append(exports + "\n")
        target.write_text(_rename("\n".join(lines), closure), encoding="utf-8")
    for name, path in closure.modules.items():
        target = scripts.joinpath(*name.split(".")[1:]).with_suffix(".py")
        target.write_text(_rename(path.read_text(encoding="utf-8"), closure), encoding="utf-8")
    for file in data:
        (scripts / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(closure.root / file, scripts / file)
    license_file = folder / "LICENSE"
    if license_file.is_file():
        shutil.copyfile(license_file, scripts / "LICENSE")


def _rename(source: str, closure: ImportClosure) -> str:
    return rename_package(source, SCRIPTS, is_public=closure.is_public)


def _versions(modules: set[str]) -> dict[str, str]:
    """Distributions of the modules that are installed, with their versions, local parts cut off."""
    known = packages_distributions()
    found = {canonicalize_name(known[name][0]) for name in modules if name in known} - _NAMED_APART
    return {name: version(name).partition("+")[0] for name in sorted(found)}


def _tell(folder: Path, made: Vendored, metadata: dict[str, Any]) -> None:
    """Write down what was copied, and how to run it."""
    record = {"bundle": made.folder.name, PACKAGE: radbundles.__version__}
    record |= {"modules": list(made.modules), "data": list(made.data)}  # type: ignore[dict-item]
    (folder / "docs").mkdir(exist_ok=True)
    write_json(folder / "docs" / "vendored.json", record)
    versions = {
        "monai": metadata["monai_version"],
        "torch": metadata["pytorch_version"],
        "numpy": metadata["numpy_version"],
        **metadata["required_packages_version"],
    }
    install = " ".join(f"{name}=={number}" for name, number in versions.items())
    text = f"""
## Self-contained copy

This copy needs no installed {PACKAGE}: `{SCRIPTS}` holds the {len(made.modules)} modules of {PACKAGE} \
{radbundles.__version__} that its configs need, under the same license. Commands that begin with `{PACKAGE}` are not \
part of it.

```bash
pip install {install}
cd {made.folder.name}
python -m monai.bundle run --config_file configs/inference.json --bundle_root . --dataset_dir IMAGES --output_dir FOUND
```

MONAI finds `{SCRIPTS}` in the folder where Python is started; from anywhere else, set `PYTHONPATH` to this folder. \
Two bundles with a folder `{SCRIPTS}` cannot be used in one Python process.
"""
    with (folder / "docs" / "README.md").open("a", encoding="utf-8") as stream:
        stream.write(text)
