# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What stands at an id, in one config or another, since any of them can be laid over any other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from radbundles.components.audit.executed import absolute, canonical
from radbundles.components.audit.parsing import MAX_LENGTH
from radbundles.components.audit.texts import ADDRESS

# Where MONAI puts what metadata.json says.
METADATA = "_meta_"


class StoredValues:
    """The values of all configs by id, parted by "::".

    Args:
        values: ids and values of everything that holds nothing more.
    """

    def __init__(self, values: Iterable[tuple[str, Any]] = ()) -> None:
        self.values: dict[str, list[Any]] = defaultdict(list)
        self.children: dict[str, dict[str, None]] = defaultdict(dict)
        self.told: dict[tuple[str, str], bool] = {}  # what has been found out about an id
        self._addresses: dict[str, str | None] = {}
        for ident, value in values:
            ident = canonical(ident).lstrip("+")
            self.values[ident].append(_absolute(value, ident))
            while "::" in ident:
                above = ident.rpartition("::")[0]
                known = above in self.children
                self.children[above].setdefault(ident)
                if known:
                    break
                ident = above

    def at(self, ident: str) -> list[Any]:
        """The values that stand at an id itself."""
        return self.values.get(ident, [])

    def inside(self, ident: str) -> tuple[str, ...]:
        """The ids one level below an id."""
        return tuple(self.children.get(ident, ()))

    def target(self, ident: str) -> str | None:
        """The name of what is built at an id; None if nothing is."""
        names = self.at(f"{ident}::_target_")
        return str(names[0]) if names else None

    def address_fault(self, ident: str) -> tuple[str, str] | None:
        """Say why what stands at an id may not be read, and the mend: addresses in metadata are for people."""
        if ident.split("::")[0] != METADATA:
            return None
        if ident not in self._addresses:
            self._addresses[ident] = self._address(ident)
        if (place := self._addresses[ident]) is None:
            return None
        return f"reads the address at {place.replace('::', '#')}", "name the id of a value that is no address"

    def _address(self, ident: str) -> str | None:
        waiting = [ident]
        while waiting:
            one = waiting.pop()
            if any(isinstance(value, str) and ADDRESS.match(value.strip()) for value in self.at(one)):
                return one
            waiting += self.inside(one)
        return None

    def is_copied(self, ident: str) -> bool:
        """Whether something above an id is no object that could be looked into: a macro, an expression, a text."""
        while "::" in ident:
            ident = ident.rpartition("::")[0]
            if self.at(ident):
                return True
        return False


def _absolute(value: Any, ident: str) -> Any:
    if not isinstance(value, str) or len(value) > MAX_LENGTH:
        return value
    try:
        made = absolute(value, ident)
    except ValueError:
        return value
    return made if len(made) <= 2 * MAX_LENGTH else "%"  # as little known as what a macro copies
