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
        if not self.is_public(dotted):
            raise ValueError(f"{dotted} is no public name of {PACKAGE}")
        self._take(*self._find(dotted))

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
        """Files beside the modules that one of them, or one of these files, names; relative to the package.

        What lies in a folder beside the modules is named by that folder.
        """
        found: set[Path] = set()
        for folder in {path.parent for path in self.modules.values()}:
            left = [path for path in folder.rglob("*") if path.is_file() and not path.suffix.startswith(".py")]
            texts = [path.read_text(encoding="utf-8") for path in self.modules.values() if path.parent == folder]
            while texts:
                named = [path for path in left if any(_names_file(text, path.relative_to(folder)) for text in texts)]
                found.update(path.relative_to(self.root) for path in named)
                left = [path for path in left if path not in named]
                texts = [path.read_text(encoding="utf-8") for path in named]
        return sorted(found)

    def reexports(self, package: str) -> str:
        """The lines of a package's ``__init__`` that import the names which are asked for."""
        asked, lines = self.exports.get(package, set()), []
        for node in self._imports(package):
            kept = [alias for alias in node.names if (alias.asname or alias.name) in asked]
            if kept:
                lines.append(ast.unparse(ast.ImportFrom(node.module, kept, 0)))
        return "\n".join(lines)

    def is_public(self, text: str) -> bool:
        """Whether a text is the dotted name of a module of this package, or of something in one."""
        if not _DOTTED.fullmatch(text):
            return False
        module, name = self._find(text)
        if module == PACKAGE:
            return False
        file = self._file(module)
        return name is None or name in (self._exported(module) if file is None else _names(_parsed(file)))

    def _find(self, dotted: str) -> tuple[str, str | None]:
        """Where a dotted name lies, and the name there; what a package exports hides its module of that name."""
        module, *names = dotted.split(".")
        for name in names:
            inner = f"{module}.{name}"
            if self._file(module) is not None or name in self._exported(module) or not self._is_there(inner):
                return module, name
            module = inner
        return module, None

    def _take(self, module: str, name: str | None) -> None:
        """Add a name of a module or package, or the module itself."""
        file = self._file(module)
        if file is not None:
            self._visit(module, file)
        elif name is not None and name not in self.exports.setdefault(module, set()):
            self.exports[module].add(name)
            self._take_import(*self._exported(module)[name])

    def _take_import(self, module: str, name: str) -> None:
        """Add what ``from module import name`` needs."""
        if self._file(module) is not None or name in self._exported(module):
            self._take(module, name)
        elif self._is_there(f"{module}.{name}"):
            self._take(f"{module}.{name}", None)
        else:
            raise ValueError(f"{PACKAGE} imports {name} from {module}, which does not have it")

    def _visit(self, module: str, path: Path) -> None:
        if module in self.modules:
            return
        self.modules[module] = path
        for node in _run_time_nodes(_parsed(path)):
            if isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").startswith(f"{PACKAGE}."):
                for alias in node.names:
                    self._take_import(str(node.module), alias.name)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and self.is_public(node.value):
                self._take(*self._find(node.value))

    def _imports(self, package: str) -> list[ast.ImportFrom]:
        """What a package's ``__init__`` imports of this package, at once or, as it tells type checkers, when asked."""
        body = _parsed(self._init(package)).body
        nodes = [inner for node in body for inner in (node.body if isinstance(node, ast.If) else [node])]
        return [
            node for node in nodes if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{PACKAGE}.")
        ]

    def _exported(self, package: str) -> dict[str, tuple[str, str]]:
        """Module and name there of every name that a package's ``__init__`` imports."""
        return {
            alias.asname or alias.name: (str(node.module), alias.name)
            for node in self._imports(package)
            for alias in node.names
        }

    def _is_there(self, dotted: str) -> bool:
        return self._file(dotted) is not None or self._init(dotted).is_file()

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
