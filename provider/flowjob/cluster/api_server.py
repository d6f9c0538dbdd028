"""``Cluster``: what an API server is asked for, as plain dicts, async."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from flowjob.cluster.errors import ApiError, refusal
from flowjob.cluster.paths import job_path, jobs_path
from flowjob.cluster.retries import delays, pause
from flowjob.cluster.transport import Transport
from flowjob.exceptions import ClusterError, JobRefusedError
from flowjob.flow_run import FLOW_RUN_ID_LABEL, flow_run_id_of, label, task_instance_of
from flowjob.kubernetes_object import KubernetesObject
from flowjob.status.job import is_being_deleted

# Objects in one answer to a list: parsing more of them would hold up a triggerer's event loop.
_PAGE = "200"


class Cluster(Transport):
    """The API server of one Airflow connection; use it as a context manager.

    :param kubernetes_conn_id: Airflow connection of type ``kubernetes``.
    """

    async def create_job(
        self, manifest: KubernetesObject, *, stop: asyncio.Event | None = None
    ) -> KubernetesObject:
        """Create the Job, or find the one that the same request created before.

        The Job's name is the lock: a reply that was lost ends in 409 and the same Job.

        :param manifest: the Job with its name and namespace.
        :param stop: see ``Transport.request``.
        :returns: the Job, or one of its name that is being deleted.
        :raises JobRefusedError: the API server refuses it, or the name belongs to another Job.
        :raises ClusterError: the API server gave no usable answer.
        """
        metadata = manifest["metadata"]
        path = jobs_path(metadata["namespace"])
        for delay in delays():
            try:
                query = {"fieldValidation": "Strict"}
                return await self.request("POST", path, query, manifest, stop=stop)
            except ApiError as error:
                if error.code != 409:
                    raise refusal(metadata, error) from None
            job = await self.find_job(metadata["namespace"], metadata["name"], stop=stop)
            if job is not None:
                _check_owner(job, flow_run_id_of(manifest))
                return job
            # It went just now, so its name is free.
            await pause(delay, stop)
        raise AssertionError("delays never end")

    async def check_job(self, manifest: KubernetesObject) -> None:
        """Ask the API server whether it would create the Job; it does not.

        :param manifest: the Job with its name and namespace.
        :raises JobRefusedError: it would refuse it.
        :raises ClusterError: the API server gave no usable answer.
        """
        metadata = manifest["metadata"]
        query = {"fieldValidation": "Strict", "dryRun": "All"}
        try:
            await self.request("POST", jobs_path(metadata["namespace"]), query, manifest)
        except ApiError as error:
            raise refusal(metadata, error) from None

    async def find_job(
        self, namespace: str, name: str, *, stop: asyncio.Event | None = None
    ) -> KubernetesObject | None:
        """Read a Job, None where there is none of that name; see ``Transport.request``."""
        try:
            return await self.request("GET", job_path(namespace, name), stop=stop)
        except ApiError as error:
            if error.code == 404:
                return None
            raise ClusterError(f"cannot read the Job {name!r}: {error}") from None

    async def list_jobs(
        self, namespace: str | None, label_selector: str, *, stop: asyncio.Event | None = None
    ) -> list[KubernetesObject]:
        """List the Jobs with these labels, in one namespace or, with None, in all.

        :param stop: see ``Transport.request``.
        """
        pages = self.pages(jobs_path(namespace), label_selector, stop=stop)
        try:
            return [job async for page in pages for job in page["items"]]
        except ApiError as error:
            raise ClusterError(f"cannot list the Jobs: {error}") from None

    async def delete_job(
        self,
        job: KubernetesObject,
        *,
        if_unchanged: bool = False,
        stop: asyncio.Event | None = None,
    ) -> bool:
        """Delete the Job and, in the foreground, its pods, which have their own grace period.

        :param job: the Job as it was seen; another one of its name is left alone.
        :param if_unchanged: leave it alone, too, where anything of it, such as its status, is no
            longer as it was seen.
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
            await self.request("DELETE", path, body=body, stop=stop)
        except ApiError as error:
            if error.code in (404, 409):
                return False
            raise ClusterError(f"cannot delete the Job {metadata['name']!r}: {error}") from None
        return True

    async def pages(
        self,
        path: str,
        label_selector: str = "",
        *,
        field_selector: str = "",
        stop: asyncio.Event | None = None,
    ) -> AsyncIterator[KubernetesObject]:
        """Yield the pages of a list of objects.

        :param stop: see ``Transport.request``.
        :raises ApiError: the right to list is missing, or the namespace is.
        """
        query = {"limit": _PAGE}
        query |= {"labelSelector": label_selector} if label_selector else {}
        query |= {"fieldSelector": field_selector} if field_selector else {}
        while True:
            page = await self.request("GET", path, query, stop=stop)
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
