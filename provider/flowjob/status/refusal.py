"""Say in one sentence why the API server refused a request, without repeating the spec.

Pure: from the server's ``Status`` (meta/v1) to text.
"""

from __future__ import annotations

import re

from flowjob.kubernetes_object import KubernetesObject
from flowjob.text import one_line

# How the strict decoder of the API server names fields that it does not know.
_STRICT_FIELD = re.compile(r'(?:unknown|duplicate) field "([^"]+)"')
# How the API server names a right that is missing.
_MISSING_RIGHT = r'cannot \w+ resource "'
# A quota that is full, or that was made just now and not counted yet.
_FULL_QUOTA = r"exceeded quota: |status unknown for quota: "
# By the words of the API server, what is well known to help.
_REMEDIES = (
    (
        r"failed calling webhook",
        "the webhook is another program of the cluster's, and down: ask who runs it",
    ),
    (_MISSING_RIGHT, "grant it to the user of the Airflow connection by an RBAC Role"),
    (r'namespaces "[^"]*" not found', "create the namespace, or name another one"),
    (
        r"exceeded quota: .*count/jobs\.batch",
        "Jobs that have ended count, too, for as long as they are kept: on_finish deletes them",
    ),
)


def explain(status: KubernetesObject) -> str:
    """Tell the reason of a refused request.

    The server's own message is told, as is that of an admission policy, except for an object that
    is invalid, which repeats values of the spec: there the fields and the kind of each error are
    told instead.

    :param status: the response's body, a ``Status`` of meta/v1.
    """
    reason = status.get("reason") or "refused"
    causes = (status.get("details") or {}).get("causes") or []
    if status.get("code") == 422 and any(cause.get("field") for cause in causes):
        return f"{reason}: " + "; ".join(_explain_cause(cause) for cause in causes)
    told = one_line(status.get("message") or "no message")
    remedy = next((f" ({remedy})" for words, remedy in _REMEDIES if re.search(words, told)), "")
    return f"{reason}: {told}{remedy}"


def refused_fields(status: KubernetesObject) -> list[str]:
    """Return the fields that a request was refused for, as far as the server names them.

    :param status: the response's body, a ``Status`` of meta/v1.
    """
    causes = (status.get("details") or {}).get("causes") or []
    named = [cause["field"] for cause in causes if cause.get("field")]
    return list(dict.fromkeys(named or _STRICT_FIELD.findall(status.get("message") or "")))


def is_missing_right(status: KubernetesObject) -> bool:
    """Tell whether a request was forbidden for want of a right, which may be granted.

    :param status: the response's body, a ``Status`` of meta/v1 where the API server sent it; a
        proxy before it may forbid, too, with words of its own.
    """
    return not status.get("reason") or bool(re.search(_MISSING_RIGHT, status.get("message") or ""))


def is_full_quota(status: KubernetesObject) -> bool:
    """Tell whether an object was refused for want of room in a quota, which may come.

    :param status: the response's body, a ``Status`` of meta/v1.
    """
    return status.get("code") == 403 and bool(re.search(_FULL_QUOTA, status.get("message") or ""))


def _explain_cause(cause: KubernetesObject) -> str:
    # FieldValueInvalid -> "value invalid"
    kind = (cause.get("reason") or "refused").removeprefix("Field")
    words = "".join(f" {c.lower()}" if c.isupper() else c for c in kind).strip()
    return one_line(f"{cause.get('field') or 'the object'}: {words}")
