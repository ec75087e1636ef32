# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Which modules of this package some public names need, found without importing any."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import radbundles

PACKAGE = "radbundles"
_DOTTED = re.compile(rf"{PACKAGE}(\.[A-Za-z_]\w*)+")


class ImportClosure:
    """Modules, names and data files that public names of this package need, directly or through others.

    A package's own ``__init__`` counts by name: of ``radbundles.networks`` only those lines are needed that import a
    name which is asked for. Imports within functions count; those for type checkers alone do not.

    Args:
        names: dotted names, such as ``radbundles.networks.ViTEncoder``.

    Raises:
        ValueError: if a name is none of this package.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.root = Path(radbundles.__file__).parent
        self.modules: dict[str, Path] = {}
        """Files by dotted name of the module, without packages."""
        self.exports: dict[str, set[str]] = {}
        """Names that are asked of packages, by dotted name of the package."""
        for name in names:
            self.need(name)

    def need(self, dotted: str) -> None:
        """Add a name and all that it needs.

        Raises:
            ValueError: if it is none of this package.
        """
        self._need(dotted, f"{dotted} is no public name of {PACKAGE}")

    @property
    def packages(self) -> list[str]:
        """Every package that holds one of the modules, outermost first."""
        found = {".".join(name.split(".")[:end]) for name in self.modules for end in range(1, name.count(".") + 1)}
        return sorted(found | set(self.exports))

    @property
    def third_party(self) -> set[str]:
        """Top-level modules of other packages that the modules import."""
        found = set()
        for path in self.modules.values():
            for node in _run_time_nodes(_parsed(path)):
                if isinstance(node, ast.Import):
                    found |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    found.add(node.module.split(".")[0])
        return found - set(sys.stdlib_module_names) - {PACKAGE}

    def data_files(self) -> list[Path]:
        """Files beside the modules that one of them names, by itself or by its folder; relative to the package."""
        found = set()
        for package in self.packages:
            folder = self._folder(package)
            texts = [path.read_text(encoding="utf-8") for path in self.modules.values() if path.parent == folder]
            beside = [path for path in folder.rglob("*") if path.is_file() and not path.suffix.startswith(".py")]
            for path in beside:
                parts = path.relative_to(folder).parts
                inner = folder.joinpath(*parts[:-1])
                if any(
                    (parent / "__init__.py").is_file() for parent in (inner, *inner.parents) if folder in parent.parents
                ):
                    continue  # of a package inside this one
                if any(f'"{parts[0]}"' in text for text in texts):
                    found.add(path.relative_to(self.root))
        return sorted(found)

    def reexports(self, package: str) -> str:
        """The lines of a package's ``__init__`` that import the names which are asked for."""
        lines = []
        for node in self._imports(package):
            kept = [alias for alias in node.names if (alias.asname or alias.name) in self.exports.get(package, ())]
            if kept:
                lines.append(ast.unparse(ast.ImportFrom(node.module, kept, 0)))
        return "\n".join(lines)

    def find(self, dotted: str) -> tuple[str, str | None] | None:
        """Return the module or package that a dotted name lies in, and the name in it, or None for no such place."""
        parts = dotted.split(".")
        if parts[0] != PACKAGE:
            return None
        for end in range(len(parts), 0, -1):
            module = ".".join(parts[:end])
            if self._file(module) is not None or self._init(module).is_file():
                return module, parts[end] if end < len(parts) else None
        return None

    def _need(self, dotted: str, complaint: str) -> None:
        place = self.find(dotted)
        if place is None or place == (PACKAGE, dotted.partition(".")[2]):
            raise ValueError(complaint)
        module, name = place
        file = self._file(module)
        if file is not None:
            self._visit(module, file)
        elif name is not None and name not in self.exports.setdefault(module, set()):
            self.exports[module].add(name)
            self._need_export(module, name, complaint)

    def _need_export(self, package: str, name: str, complaint: str) -> None:
        for node in self._imports(package):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    self._need(f"{node.module}.{alias.name}", complaint)
                    return
        raise ValueError(complaint)

    def _imports(self, package: str) -> list[ast.ImportFrom]:
        """What a package's ``__init__`` imports of this package, at once or, as it tells type checkers, when asked."""
        body = _parsed(self._init(package)).body
        nodes = [inner for node in body for inner in (node.body if isinstance(node, ast.If) else [node])]
        return [
            node for node in nodes if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{PACKAGE}.")
        ]

    def _visit(self, module: str, path: Path) -> None:
        if module in self.modules:
            return
        self.modules[module] = path
        for node in _run_time_nodes(_parsed(path)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE and not node.level:
                for alias in node.names:
                    dotted = f"{node.module}.{alias.name}"
                    self._need(dotted, f"{module} imports {dotted}, which there is not")
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and self.is_public(node.value):
                self._need(node.value, f"{module} names {node.value}, which there is not")

    def is_public(self, dotted: str) -> bool:
        """Whether a text is the dotted name of a module of this package, or of something in one."""
        place = self.find(dotted) if _DOTTED.fullmatch(dotted) else None
        if place is None or place[0] == PACKAGE:
            return False
        module, name = place
        file = self._file(module) or self._init(module)
        return name is None or name in _names(_parsed(file))

    def _file(self, module: str) -> Path | None:
        path = self._folder(module).with_suffix(".py")
        return path if path.is_file() else None

    def _init(self, package: str) -> Path:
        return self._folder(package) / "__init__.py"

    def _folder(self, dotted: str) -> Path:
        return self.root.joinpath(*dotted.split(".")[1:])


@lru_cache(maxsize=512)
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _run_time_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but those under ``if TYPE_CHECKING``."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            for other in child.orelse:
                yield other
                yield from _run_time_nodes(other)
            continue
        yield child
        yield from _run_time_nodes(child)


def _names_file(text: str, path: Path) -> bool:
    """Whether a text holds the first part of a path in quotes."""
    return f'"{path.parts[0]}"' in text or f"'{path.parts[0]}'" in text


def _names(module: ast.Module) -> Iterator[str]:
    """Names that a module defines or imports at its top level."""
    for node in module.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (target.id for target in targets if isinstance(target, ast.Name))
