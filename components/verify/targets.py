# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What a ``_target_`` names, found without running anything of a bundle: only packages known here are imported."""

from __future__ import annotations

import difflib
import importlib
import inspect
import sys
from collections.abc import Mapping
from functools import cache
from typing import Any

KNOWN_PACKAGES = frozenset(("ignite", "monai", "numpy", "radbundles", "torch", "torchmetrics", "transformers"))
# Modules of the standard library that do something when they are imported.
_EAGER = frozenset(("__main__", "antigravity", "idlelib", "test", "this", "turtledemo"))


class TargetError(LookupError):
    """A target names nothing that can be called here.

    Args:
        message: why.
        mend: what to do about it.
    """

    def __init__(self, message: str, mend: str) -> None:
        super().__init__(message)
        self.message, self.mend = message, mend


def is_standard(package: str) -> bool:
    """Whether a package is Python's own, and importing it does nothing else."""
    return package in sys.stdlib_module_names and package not in _EAGER


@cache
def find_target(target: str) -> Any:
    """Return what ``_target_`` names: MONAI's short names by MONAI's own table, dotted ones by import.

    Raises:
        TargetError: nothing that can be called has this name, or it is not public, or of a package that is not known.
    """
    if "." not in target:
        return _short(target)
    package = target.partition(".")[0]
    if package not in KNOWN_PACKAGES and not is_standard(package):
        known = ", ".join(sorted(KNOWN_PACKAGES))
        raise TargetError(f"the package {package!r} is none that bundles here build on", f"use one of {known}")
    found, module, rest = _import(target)
    for name in rest:
        owner = found
        try:
            found = getattr(found, name)
        except AttributeError:
            raise TargetError(f"{_name(owner)} has no {name!r}", _nearest(name, owner)) from None
    if package == "radbundles":
        _check_public(module, rest)
    if not callable(found):
        raise TargetError(f"this is a {type(found).__name__}, which cannot be called", "name a class or a function")
    return found


def _import(target: str) -> tuple[Any, Any, list[str]]:
    """Import as much of a dotted name as is a module; return it twice, and the rest of the name."""
    parts = target.split(".")
    module: Any = None
    for end in range(1, len(parts) + 1):
        if module is not None and hasattr(module, parts[end - 1]) and not _is_module(module, parts[end - 1]):
            return module, module, parts[end - 1 :]
        name = ".".join(parts[:end])
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is not None and not f"{name}.".startswith(f"{error.name}."):
                raise TargetError(
                    f"{name} needs {error.name}, which is not installed", f"install {error.name}"
                ) from error
            if module is None:
                raise TargetError(f"{name} is not installed", f"install {name}") from error
            return module, module, parts[end - 1 :]
        except Exception as error:  # of other people's modules, which may raise anything as they are imported
            raise TargetError(f"{name} cannot be imported: {type(error).__name__}", "mend the installation") from error
    return module, module, []


def _is_module(module: Any, name: str) -> bool:
    return inspect.ismodule(getattr(module, name))


def _check_public(module: Any, rest: list[str]) -> None:
    """Hold targets to what packages re-export: that name stays when files move."""
    if not rest or _is_public(module, rest[0]):
        return
    above = module.__name__.rpartition(".")[0]
    if above in sys.modules and _is_public(sys.modules[above], rest[0]):
        mend = f"name it {above}.{'.'.join(rest)}"
    else:
        mend = f"name one that {module.__name__ if hasattr(module, '__path__') else above} exports"
    raise TargetError(f"{rest[0]!r} of {module.__name__} is not public, and may move", mend)


def _is_public(module: Any, name: str) -> bool:
    exported = getattr(module, "__all__", None)
    if exported is None:
        return hasattr(module, "__path__") and hasattr(module, name) and not name.startswith("_")
    return name in exported or module.__name__ == "radbundles"


def _short(name: str) -> Any:
    locator = _locator()
    modules = locator.get_component_module_name(name)
    if not modules:
        close = difflib.get_close_matches(name, getattr(locator, "_components_table", None) or (), n=1)
        mend = f"did you mean {close[0]!r}" if close else "give the full name, with its package"
        raise TargetError("MONAI has no class or function of this name", mend)
    # Of several classes with one name MONAI takes the first.
    return getattr(sys.modules[modules if isinstance(modules, str) else modules[0]], name)


@cache
def _locator() -> Any:
    from monai.bundle.config_item import ComponentLocator

    return ComponentLocator()


def _name(found: Any) -> str:
    return str(getattr(found, "__name__", type(found).__name__))


def _nearest(name: str, owner: Any) -> str:
    public = getattr(owner, "__all__", None) or [other for other in dir(owner) if not other.startswith("_")]
    close = difflib.get_close_matches(name, public, n=1)
    return f"did you mean {close[0]!r}" if close else "mend the name"


def parameters(found: Any) -> Mapping[str, inspect.Parameter] | None:
    """Return what a class or function takes, or None where it does not say."""
    try:
        return inspect.signature(found).parameters
    except (TypeError, ValueError):
        return None
