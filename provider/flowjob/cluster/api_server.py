"""``Cluster``: what an API server is asked for, as plain dicts, async."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from flowjob.cluster.creation import create
from flowjob.cluster.errors import ApiError, describe, is_expired, is_transient, refusal
from flowjob.cluster.paths import job_path, jobs_path, pods_path
from flowjob.cluster.patience import REFUSALS, Patience
from flowjob.cluster.retries import pause
from flowjob.cluster.transport import Transport
from flowjob.exceptions import ClusterError, JobRefusedError
from flowjob.flow_run import (
    FLOW_RUN_ID_LABEL,
    flow_run_id_of,
    flow_run_selector,
    label,
    task_instance_of,
)
from flowjob.kubernetes_object import KubernetesObject, with_flow_container_first
from flowjob.status.job import is_being_deleted
from flowjob.status.observation import is_pod_of
from flowjob.timeouts import PATIENCE

# Objects in one answer to a list: parsing more of them would hold up a triggerer's event loop.
_PAGE = 100


class Cluster(Transport):
    """The API server of one Airflow connection; use it as a context manager.

    :param kubernetes_conn_id: Airflow connection of type ``kubernetes``.
    """

    async def create_job(
        self,
        manifest: KubernetesObject,
        *,
        limit: float | None = None,
        stop: asyncio.Event | None = None,
    ) -> KubernetesObject:
        """Create the Job, or find the one that the same request created before.

        The Job's name is the lock: a reply that was lost ends in 409 and the same Job.

        :param manifest: the Job with its name and namespace.
        :param limit: seconds that a full quota on the number of Jobs is waited for; None (default):
            any number.
        :param stop: see ``Transport.request``.
        :returns: the Job, or one of its name that is being deleted.
        :raises JobRefusedError: the API server refuses it, or the name belongs to another Job.
        :raises ClusterError: the API server gave no usable answer, or the quota stays full.
        """
        metadata = manifest["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]

        async def existing() -> KubernetesObject | None:
            job = await self.find_job(namespace, name, stop=stop)
            if job is not None:
                _check_owner(job, flow_run_id_of(manifest))
            return job

        return await create(self, jobs_path(namespace), manifest, existing, limit=limit, stop=stop)

    async def check_job(self, manifest: KubernetesObject) -> None:
        """Ask the API server whether it would create the Job; it does not.

        Somebody waits for the answer: whatever goes wrong is told at once.

        :param manifest: the Job with its name and namespace.
        :raises JobRefusedError: it would refuse it.
        :raises ClusterError: the API server gave no usable answer.
        """
        metadata = manifest["metadata"]
        query = {"fieldValidation": "Strict", "dryRun": "All"}
        try:
            path, patience = jobs_path(metadata["namespace"]), self.impatience()
            await self.request("POST", path, query, manifest, patience=patience)
        except ApiError as error:
            raise refusal(manifest, error) from None
        except Exception as error:
            if not is_transient(error):
                raise
            raise ClusterError(
                f"the API server gives no usable answer: {describe(error)}"
            ) from None

    async def find_job(
        self, namespace: str, name: str, *, stop: asyncio.Event | None = None
    ) -> KubernetesObject | None:
        """Read a Job, None where there is none of that name; see ``Transport.request``."""
        try:
            path, patience = job_path(namespace, name), self.patience(REFUSALS)
            return await self.request("GET", path, patience=patience, stop=stop)
        except ApiError as error:
            if error.code == 404:
                return None
            raise ClusterError(f"cannot read the Job {name!r}: {error}") from None

    async def list_jobs(
        self,
        namespace: str | None,
        label_selector: str,
        *,
        patience: Patience | None = None,
        stop: asyncio.Event | None = None,
    ) -> list[KubernetesObject]:
        """List the Jobs with these labels, in one namespace or, with None, in all.

        :param patience: see ``Transport.request``.
        :param stop: see ``Transport.request``.
        :raises ClusterError: they cannot be listed.
        """
        path = jobs_path(namespace)
        try:
            return await self.whole_list(path, label_selector, patience=patience, stop=stop)
        except ApiError as error:
            raise ClusterError(f"cannot list the Jobs: {error}") from None

    async def whole_list(
        self,
        path: str,
        label_selector: str,
        *,
        patience: Patience | None = None,
        stop: asyncio.Event | None = None,
    ) -> list[KubernetesObject]:
        """List all objects with these labels.

        :param path: the REST path of their kind.
        :param patience: see ``Transport.request``.
        :param stop: see ``Transport.request``.
        :raises ApiError: they may not be listed.
        :raises ClusterError: the API server gave no usable answer.
        """
        patience = patience or self.patience()
        # The server forgets what a list began with within minutes, such as those it is away.
        whole = Patience(f"no whole list of {path}", PATIENCE, passes=is_expired)
        while True:
            pages = self.pages(path, label_selector, patience=patience, stop=stop)
            try:
                return [each async for page in pages for each in page["items"]]
            except ApiError as error:
                if not is_expired(error):
                    raise
                await pause(whole.take(error), stop)

    async def delete_job(
        self,
        job: KubernetesObject,
        *,
        if_unchanged: bool = False,
        patience: Patience | None = None,
        stop: asyncio.Event | None = None,
    ) -> bool:
        """Delete the Job and, in the foreground, its pods, which have their own grace period.

        :param job: the Job as it was seen; another one of its name is left alone.
        :param if_unchanged: leave it alone, too, where anything of it, such as its status, is no
            longer as it was seen.
        :param patience: see ``Transport.request``. A missing right is not doubted by default, as
            a worker that kills has seconds.
        :param stop: see ``Transport.request``.
        :returns: whether it was deleted: False where it is gone or is another one by now.
        :raises ClusterError: it cannot be deleted.
        """
        metadata = job["metadata"]
        preconditions = {"uid": metadata["uid"]}
        if if_unchanged:
            preconditions["resourceVersion"] = metadata["resourceVersion"]
        # Without a policy its pods would run on.
        body = {"propagationPolicy": "Foreground", "preconditions": preconditions}
        path = job_path(metadata["namespace"], metadata["name"])
        try:
            await self.request("DELETE", path, body=body, patience=patience, stop=stop)
        except ApiError as error:
            if error.code in (404, 409):
                return False
            raise ClusterError(f"cannot delete the Job {metadata['name']!r}: {error}") from None
        return True

    async def pods_of(self, job: KubernetesObject) -> list[KubernetesObject]:
        """List a Job's own pods, each with its flow container first; others may have its labels.

        :param job: the Job, of which its metadata suffices.
        :raises ApiError: the right to list is missing, or the namespace is.
        """
        path = pods_path(job["metadata"]["namespace"])
        return [
            with_flow_container_first(pod, job)
            async for page in self.pages(path, flow_run_selector(job))
            for pod in page["items"]
            if is_pod_of(job, pod)
        ]

    async def pages(
        self,
        path: str,
        label_selector: str = "",
        *,
        field_selector: str = "",
        size: int = _PAGE,
        patience: Patience | None = None,
        stop: asyncio.Event | None = None,
    ) -> AsyncIterator[KubernetesObject]:
        """Yield the pages of a list of objects.

        :param size: objects of a page; 100 by default.
        :param patience: see ``Transport.request``.
        :param stop: see ``Transport.request``.
        :raises ApiError: the right to list is missing, or the namespace is.
        """
        query = {"limit": str(size)}
        query |= {"labelSelector": label_selector} if label_selector else {}
        query |= {"fieldSelector": field_selector} if field_selector else {}
        while True:
            page = await self.request("GET", path, query, patience=patience, stop=stop)
            yield page
            if not page["metadata"].get("continue"):
                return
            query["continue"] = page["metadata"]["continue"]


def _check_owner(job: KubernetesObject, flow_run_id: str) -> None:
    metadata, owner = job["metadata"], label(job, FLOW_RUN_ID_LABEL)
    if owner != flow_run_id and not is_being_deleted(job):
        whose = f"flow run {owner}, {task_instance_of(job) or 'of which nothing more is known'}"
        raise JobRefusedError(
            f"the Job {metadata['name']!r} in namespace {metadata['namespace']!r} exists and "
            f"belongs to {whose if owner else 'somebody else'}: give the task another name"
        )
