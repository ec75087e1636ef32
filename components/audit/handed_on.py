# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Judges what a config hands on uncalled (``_mode_: callable``), for others to call.

What is handed on takes arguments in their order, without the names by which they are judged: ``LoadImage`` so calls
what its first argument names.
"""

from __future__ import annotations

from typing import Any

from radbundles.components.audit.executed import canonical
from radbundles.components.audit.ledger import Ledger
from radbundles.components.audit.policy import AuditPolicy
from radbundles.components.audit.stored import StoredValues


class HandedOn:
    """Judges modes, and what changes them.

    Args:
        policy: what may be handed on.
        ledger: where everything goes.
        stored: what stands at each id in one config or another.
        any_callable: whether any config hands anything on.
    """

    def __init__(self, policy: AuditPolicy, ledger: Ledger, stored: StoredValues, *, any_callable: bool) -> None:
        self.policy, self.ledger, self.stored, self.any_callable = policy, ledger, stored, any_callable

    def mode(self, file: str, ident: str, value: Any) -> None:
        """Judge a ``_mode_`` by the names beside it, in whichever config."""
        if value not in ("default", "callable"):
            message = "is no mode of a config that runs by itself"
            self.ledger.refuse(file, ident, str(value), message, "use default or callable")
        elif value == "callable":
            parent = canonical(ident).lstrip("+").rpartition("::")[0]
            names = self.stored.at(f"{parent}::_target_")
            if not names:
                message = "hands on what another config names"
                self.ledger.refuse(file, ident, value, message, "name the function beside it")
            for name in names:
                self._name(file, ident, name)

    def overlay(self, file: str, key: str, value: Any) -> None:
        """Judge a top-level key: items of a list move when another config adds to it, and meet what was not meant."""
        keys = canonical(key).lstrip("+").split("::")
        if not any(one.lstrip("-").isdecimal() for one in keys):
            return
        laid = {keys[-1]: value, **(value if key.startswith("+") and isinstance(value, dict) else {})}
        if "_mode_" in laid:
            message = "changes the mode of an item of a list, whose place is not certain"
            self.ledger.refuse(file, key, str(laid["_mode_"]), message, "write out the item")
        if "_target_" in laid and self.any_callable:
            self._name(file, key, laid["_target_"])

    def _name(self, file: str, ident: str, name: Any) -> None:
        if name not in self.policy.callables:
            message = f"hands on {name}, to be called with arguments that cannot be judged"
            mend = f"build it, or use a lambda; if you trust it: --allow {name}"
            self.ledger.refuse(file, ident, str(name), message, mend)
