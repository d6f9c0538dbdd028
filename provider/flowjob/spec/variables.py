"""The variables of the flow container, in an order in which each may refer to the others.

Kubernetes puts for ``$(NAME)`` the value of a variable that stands before it, and leaves the text
as it is where none does.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

Variable = dict[str, Any]

# "$$" is how Kubernetes writes a "$" that begins no reference.
_REFERENCE = re.compile(r"\$\$|\$\(([^()]*)\)")


def merge_variables(
    given: Sequence[Variable],
    ours: Mapping[str, Any],
    user: Mapping[str, Any],
    yielding: Collection[str] = (),
) -> list[Variable]:
    """Put ours first, then the spec's, then what is new of the user's; the user's win over all.

    One of the user's leaves its place where that lets references be known: it comes before what
    refers to it, and behind what it refers to. Where both cannot be, it stays before the former if
    it has the place of another, and is behind the latter if it is new.

    :param given: the spec's variables, as Kubernetes has them.
    :param ours: by name, strings, or what Kubernetes has below ``valueFrom``.
    :param user: the same of the user's.
    :param yielding: which of ours stay the spec's where it takes them from elsewhere, such as from
        a Secret.
    """
    stays = {
        variable["name"]
        for variable in given
        if variable.get("name") in yielding and "valueFrom" in variable
    }
    first = {name: user.get(name, value) for name, value in ours.items() if name not in stays}
    merged = [_variable(name, value) for name, value in first.items()]
    for variable in given:
        name: Any = variable.get("name")
        if name not in first:
            merged.append(_variable(name, user[name]) if name in user else variable)
    present = {variable.get("name") for variable in merged}
    merged += [_variable(name, value) for name, value in user.items() if name not in present]
    return _Order(merged, user).place_all()


def _variable(name: str, value: Any) -> Variable:
    return {"name": name, "value" if isinstance(value, str) else "valueFrom": value}


class _Order:
    """Places variables one after the other; all but the user's keep their order.

    :param variables: in the order that is wanted.
    :param user: the names of those that may be moved.
    """

    def __init__(self, variables: list[Variable], user: Collection[str]) -> None:
        self._variables = variables
        self._movable = {each["name"]: each for each in variables if each.get("name") in user}
        # What is still to come, by name.
        self._left = {variable.get("name") for variable in variables}
        # What has been passed over, as it refers to what comes later.
        self._waiting: dict[str, Variable] = {}
        self._placed: list[Variable] = []

    def place_all(self) -> list[Variable]:
        for variable in self._variables:
            name: Any = variable.get("name")
            if name in self._movable and (name not in self._left or name in self._waiting):
                continue
            if name in self._movable and self._lacks(variable):
                self._waiting[name] = variable
                continue
            self._place(variable)
            for waiting in list(self._waiting.values()):
                if not self._lacks(waiting):
                    self._place(waiting)
        while self._waiting:
            self._place(next(iter(self._waiting.values())))
        return self._placed

    def _place(self, variable: Variable) -> None:
        """Place a variable, and before it what it refers to and can be there."""
        wanted = self._lacks(variable) & self._movable.keys()
        if wanted:
            wanted &= self._waiting.keys() | self._can_come()
        self._left.discard(variable.get("name"))
        self._waiting.pop(variable.get("name") or "", None)
        for name in [name for name in self._movable if name in wanted]:
            # One may have come before another.
            if name in self._left:
                self._place(self._movable[name])
        self._placed.append(variable)

    def _can_come(self) -> set[str]:
        """Return what may be moved and refers to nothing that has to come later."""
        found: set[str] = set()
        left = {name: each for name, each in self._movable.items() if name in self._left}
        while more := {n for n in left if n not in found and self._lacks(left[n]) <= found}:
            found |= more
        return found

    def _lacks(self, variable: Variable) -> set[str | None]:
        """Return what a variable refers to and is still to come."""
        return (_references(variable) & self._left) - {variable.get("name")}


def _references(variable: Variable) -> set[str | None]:
    return {match[1] for match in _REFERENCE.finditer(variable.get("value") or "") if match[1]}
