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

    One of the user's that takes the place of another is moved back behind those that it refers to,
    if none between them refers to it; a new one is moved before the first of the spec's that refers
    to it, if it refers to none between them.

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
    new = [name for name in user if name not in present]
    merged += [_variable(name, user[name]) for name in new]
    for name in new:
        _move_forward(merged, name, user)
    for name in user:
        _move_back(merged, name)
    return merged


def _variable(name: str, value: Any) -> Variable:
    return {"name": name, "value" if isinstance(value, str) else "valueFrom": value}


def _move_forward(variables: list[Variable], name: str, user: Collection[str]) -> None:
    place = _place_of(variables, name)
    for at, variable in enumerate(variables[:place]):
        if name in _references(variable) and variable.get("name") not in user:
            between = {each.get("name") for each in variables[at:place]}
            if not between & _references(variables[place]):
                variables.insert(at, variables.pop(place))
            return


def _move_back(variables: list[Variable], name: str) -> None:
    place = _place_of(variables, name)
    wanted = _references(variables[place])
    behind = [at for at, each in enumerate(variables) if at > place and each.get("name") in wanted]
    if not behind:
        return
    between = variables[place + 1 : behind[-1] + 1]
    if not any(name in _references(variable) for variable in between):
        variables.insert(behind[-1], variables.pop(place))


def _place_of(variables: list[Variable], name: str) -> int:
    return next(at for at, variable in enumerate(variables) if variable.get("name") == name)


def _references(variable: Variable) -> set[str]:
    return {match[1] for match in _REFERENCE.finditer(variable.get("value") or "") if match[1]}
