"""``Cluster``: the API server of one Airflow connection, as plain dicts, async.

The connection's configuration is loaded by the cncf-kubernetes provider's ``KubernetesHook``, so
that in-cluster, file, inline and exec credentials mean here what they mean there.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import logging
import random
import ssl
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from flowjob import __version__
from flowjob.cluster.airflow_thread import in_thread
from flowjob.exceptions import ClusterError, FlowJobError, JobRefusedError
from flowjob.flow_run import FLOW_RUN_ID_LABEL, task_instance_of
from flowjob.kubernetes_object import KubernetesObject
from flowjob.status.job import is_being_deleted
from flowjob.status.refusal import explain, refused_fields

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession, ClientTimeout
    from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook
    from kubernetes.client import Configuration

log = logging.getLogger(__name__)

# Seconds that one request may take, and that an API server that is away is waited for.
_REQUEST_TIMEOUT = 30
_PATIENCE = 600
# Bytes that an event of a watch, a line with a whole object, may have: etcd takes 1.5 MiB.
_LONGEST_LINE = 2**21
# Objects in one answer to a list: parsing more of them would hold up a triggerer's event loop.
_PAGE = "200"
# Statuses after which the same request may succeed: overload, and servers that start or end.
_TRANSIENT = {429, 500, 502, 503, 504}
# Statuses with which the API server refuses a Job that it will refuse again.
_REFUSED = {400, 403, 404, 405, 413, 415, 422}


class ApiError(Exception):
    """The API server answered with an error.

    :param code: HTTP status.
    :param status: the body, a ``Status`` of meta/v1 where the server sent one.
    :param retry_after: seconds after which it wants to be asked again, if it said so.
    """

    def __init__(
        self, code: int, status: KubernetesObject, retry_after: float | None = None
    ) -> None:
        super().__init__(f"HTTP {code}: {explain({'code': code, **status})}")
        self.code = code
        self.status = {"code": code, **status}
        self.retry_after = retry_after


@dataclass(frozen=True)
class ClusterConnection:
    """How to reach a cluster.

    :param configuration: address and credentials, as the provider's hook loaded them.
    :param namespace: the namespace that the Airflow connection names, if any.
    """

    configuration: Configuration
    namespace: str | None


def load_connection(kubernetes_conn_id: str) -> ClusterConnection:
    """Load an Airflow connection of type ``kubernetes`` through the provider's hook.

    It reads files, may run an exec plugin, and takes seconds where the hook was not imported yet:
    not for an event loop.

    :param kubernetes_conn_id: id of the connection.
    :raises Exception: whatever the hook raises, such as AirflowNotFoundException.
    """
    hook = kubernetes_hook()(conn_id=kubernetes_conn_id)
    return ClusterConnection(hook.get_conn().configuration, hook.get_namespace())


def kubernetes_hook() -> type[KubernetesHook]:
    """Import the provider's hook, which takes seconds the first time, and return it.

    The import makes hundreds of thousands of objects, none of them garbage. Each look through
    them by the garbage collector would hold up all threads, a triggerer's event loop among them.
    """
    name = "airflow.providers.cncf.kubernetes.hooks.kubernetes"
    if name not in sys.modules and gc.isenabled():
        gc.disable()
        try:
            importlib.import_module(name)
            gc.freeze()
        finally:
            gc.enable()
    hook: type[KubernetesHook] = importlib.import_module(name).KubernetesHook
    return hook


def delays(longest: float = 10.0) -> Iterator[float]:
    """Yield the seconds to wait before each new try: growing, with jitter, without end."""
    delay = 0.2
    while True:
        yield delay * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, protects nothing
        delay = min(delay * 2, longest)


class Cluster:
    """Requests to one API server over one pool of connections; use it as a context manager.

    :param kubernetes_conn_id: Airflow connection of type ``kubernetes``; it is loaded in a thread,
        and loaded again when the API server no longer takes its credentials.
    """

    def __init__(self, kubernetes_conn_id: str) -> None:
        self._conn_id = kubernetes_conn_id

    async def __aenter__(self) -> Self:
        """Load the connection.

        :raises ClusterError: it cannot be loaded.
        """
        self._renewal = asyncio.Lock()
        try:
            self._session = await self._open_session()
        except Exception as error:
            # An error of YAML goes on with lines of what may be a kubeconfig with its secrets.
            told = describe(error).splitlines()[0]
            raise ClusterError(
                f"the Airflow connection {self._conn_id!r} cannot be used: {told}"
            ) from None
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    @property
    def namespace(self) -> str | None:
        """The namespace that the Airflow connection names, if any."""
        return self._connection.namespace

    async def create_job(self, manifest: KubernetesObject) -> KubernetesObject:
        """Create the Job, or find the one that the same request created before.

        The Job's name is the lock: a reply that was lost ends in 409 and the same Job.

        :param manifest: the Job with its name and namespace.
        :returns: the Job, or one of its name that is being deleted.
        :raises JobRefusedError: the API server refuses it, or the name belongs to another Job.
        :raises ClusterError: the API server gave no usable answer.
        """
        metadata = manifest["metadata"]
        path = jobs_path(metadata["namespace"])
        for delay in delays():
            try:
                return await self.request("POST", path, {"fieldValidation": "Strict"}, manifest)
            except ApiError as error:
                if error.code != 409:
                    raise _refusal(metadata, error) from None
            job = await self.find_job(metadata["namespace"], metadata["name"])
            if job is not None:
                _check_owner(job, manifest["metadata"]["labels"][FLOW_RUN_ID_LABEL])
                return job
            # It went just now, so its name is free.
            await asyncio.sleep(delay)
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
            raise _refusal(metadata, error) from None

    async def find_job(self, namespace: str, name: str) -> KubernetesObject | None:
        """Read a Job, None where there is none of that name."""
        try:
            return await self.request("GET", f"{jobs_path(namespace)}/{name}")
        except ApiError as error:
            if error.code == 404:
                return None
            raise ClusterError(f"cannot read the Job {name!r}: {error}") from None

    async def list_jobs(self, namespace: str | None, label_selector: str) -> list[KubernetesObject]:
        """List the Jobs with these labels, in one namespace or, with None, in all."""
        path = jobs_path(namespace) if namespace else "/apis/batch/v1/jobs"
        try:
            return [job async for page in self.pages(path, label_selector) for job in page["items"]]
        except ApiError as error:
            raise ClusterError(f"cannot list the Jobs: {error}") from None

    async def pages(
        self, path: str, label_selector: str = "", *, field_selector: str = ""
    ) -> AsyncIterator[KubernetesObject]:
        """Yield the pages of a list of objects.

        :raises ApiError: the right to list is missing, or the namespace is.
        """
        query = {"limit": _PAGE}
        query |= {"labelSelector": label_selector} if label_selector else {}
        query |= {"fieldSelector": field_selector} if field_selector else {}
        while True:
            page = await self.request("GET", path, query)
            yield page
            if not page["metadata"].get("continue"):
                return
            query["continue"] = page["metadata"]["continue"]

    async def delete_job(self, job: KubernetesObject, *, if_unchanged: bool = False) -> bool:
        """Delete the Job and, in the foreground, its pods, which have their own grace period.

        :param job: the Job as it was seen; another one of its name is left alone.
        :param if_unchanged: leave it alone, too, where anything of it, such as its status, is no
            longer as it was seen.
        :returns: whether it was deleted: False where it is gone or is another one by now.
        :raises ClusterError: it cannot be deleted.
        """
        metadata = job["metadata"]
        preconditions = {"uid": metadata["uid"]}
        if if_unchanged:
            preconditions["resourceVersion"] = metadata["resourceVersion"]
        # Without a policy its pods would run on.
        body = {"propagationPolicy": "Foreground", "preconditions": preconditions}
        path = f"{jobs_path(metadata['namespace'])}/{metadata['name']}"
        try:
            await self.request("DELETE", path, body=body)
        except ApiError as error:
            if error.code in (404, 409):
                return False
            raise ClusterError(f"cannot delete the Job {metadata['name']!r}: {error}") from None
        return True

    async def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: KubernetesObject | None = None,
    ) -> KubernetesObject:
        """Send a request and return the JSON of its answer; wait for a server that is away.

        :param method: HTTP method; each must be safe to send twice.
        :param path: path of the REST API, such as ``/api/v1/namespaces/default/pods``.
        :raises ApiError: the server answered with an error that will stay.
        :raises ClusterError: it could not be reached for ten minutes.
        """
        deadline = asyncio.get_running_loop().time() + _PATIENCE
        for delay in delays():
            try:
                async with self.open(method, path, query, body) as response:
                    answer: KubernetesObject = json.loads(await response.read())
                    return answer
            except Exception as error:
                if not is_transient(error):
                    raise
                delay = max(delay, getattr(error, "retry_after", None) or 0)
                if asyncio.get_running_loop().time() + delay > deadline:
                    raise ClusterError(
                        f"the API server {self._connection.configuration.host} gave no answer for "
                        f"{_PATIENCE} s: {describe(error)}"
                    ) from None
                log.warning("The API server gives no answer (%s), trying again", describe(error))
                await asyncio.sleep(delay)
        raise AssertionError("delays never end")

    @asynccontextmanager
    async def open(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: KubernetesObject | None = None,
        *,
        silence: float | None = None,
    ) -> AsyncIterator[ClientResponse]:
        """Send a request once and give its answer to be read as it comes.

        :param silence: seconds without a byte after which the connection counts as dead, for
            answers without an end; None: the whole answer comes within 30 s.
        :raises ApiError: the server answered with an error.
        """
        import aiohttp

        timeout = (
            aiohttp.ClientTimeout(total=_REQUEST_TIMEOUT)
            if silence is None
            else aiohttp.ClientTimeout(connect=_REQUEST_TIMEOUT, sock_read=silence)
        )
        response = await self._respond(method, path, query, body, timeout)
        try:
            if response.status >= 400:
                raise await _api_error(response)
            yield response
        finally:
            response.close()

    async def _respond(self, method: str, path: str, *request: Any) -> ClientResponse:
        """Send a request, and once more where the credentials had expired."""
        session = self._session
        try:
            response = await self._send(session, method, path, *request)
            if response.status != 401:
                return response
            response.close()
            await self._renew(session)
        except Exception:
            # It may have been closed, as others' credentials were refused, too.
            if session is self._session:
                raise
        return await self._send(self._session, method, path, *request)

    async def _send(
        self,
        session: ClientSession,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: KubernetesObject | None,
        limits: ClientTimeout,
    ) -> ClientResponse:
        configuration = self._connection.configuration
        return await session.request(
            method,
            configuration.host + path,
            params=query,
            headers=await self._headers(),
            json=body,
            timeout=limits,
            server_hostname=configuration.tls_server_name or None,
        )

    async def _open_session(self) -> ClientSession:
        import aiohttp

        # Files, exec plugins and imports would hold up every other waiter of a triggerer.
        self._connection = await in_thread(load_connection, self._conn_id)
        tls = await asyncio.to_thread(_tls_context, self._connection.configuration)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls), trust_env=True, read_bufsize=_LONGEST_LINE
        )

    async def _renew(self, refused: ClientSession) -> None:
        """Load the connection again, unless that was done since the credentials were refused."""
        async with self._renewal:
            if self._session is refused:
                self._session = await self._open_session()
                await refused.close()

    async def _headers(self) -> dict[str, str]:
        configuration = self._connection.configuration
        if configuration.refresh_api_key_hook:
            # It may read a file or run an exec plugin.
            settings = await asyncio.to_thread(configuration.auth_settings)
        else:
            settings = configuration.auth_settings()
        credentials = {setting["key"]: setting["value"] for setting in settings.values()}
        # So that a cluster's audit log tells whose requests these are.
        return {"User-Agent": f"flowjob/{__version__}", **credentials}


def _tls_context(configuration: Configuration) -> ssl.SSLContext:
    """Read what the connection says of certificates."""
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert or None)
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file or None)
    if getattr(configuration, "disable_strict_ssl_verification", False):
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if configuration.assert_hostname is False or not configuration.verify_ssl:
        context.check_hostname = False
    if not configuration.verify_ssl:
        context.verify_mode = ssl.CERT_NONE
    return context


async def _api_error(response: ClientResponse) -> ApiError:
    text = await response.text()
    try:
        status = json.loads(text)
    except ValueError:
        status = None
    if not isinstance(status, dict):
        status = {"message": text[:200]}
    retry_after = response.headers.get("Retry-After", "")
    return ApiError(response.status, status, float(retry_after) if retry_after.isdigit() else None)


def is_transient(error: Exception) -> bool:
    """Tell whether the same request may succeed later: the server is away or overloaded."""
    import aiohttp

    if isinstance(error, ApiError):
        return error.code in _TRANSIENT
    if isinstance(error, aiohttp.ClientSSLError):
        return False
    return isinstance(error, aiohttp.ClientError | asyncio.TimeoutError | OSError)


def describe(error: BaseException) -> str:
    """Name an error that may have no text of its own."""
    return str(error) or type(error).__name__


def _refusal(metadata: KubernetesObject, error: ApiError) -> FlowJobError:
    if error.code not in _REFUSED:
        return ClusterError(f"cannot create the Job {metadata['name']!r}: {error}")
    return JobRefusedError(
        f"the API server refused the Job {metadata['name']!r} in namespace "
        f"{metadata['namespace']!r}: {explain(error.status)}",
        refused_fields(error.status),
    )


def _check_owner(job: KubernetesObject, flow_run_id: str) -> None:
    metadata = job["metadata"]
    owner = (metadata.get("labels") or {}).get(FLOW_RUN_ID_LABEL)
    if owner != flow_run_id and not is_being_deleted(job):
        whose = f"flow run {owner}, {task_instance_of(job) or 'of which nothing more is known'}"
        raise JobRefusedError(
            f"the Job {metadata['name']!r} in namespace {metadata['namespace']!r} exists and "
            f"belongs to {whose if owner else 'somebody else'}: give the task another name"
        )


def jobs_path(namespace: str) -> str:
    """Return the REST path of a namespace's Jobs."""
    return f"/apis/batch/v1/namespaces/{namespace}/jobs"


def pods_path(namespace: str) -> str:
    """Return the REST path of a namespace's pods."""
    return f"/api/v1/namespaces/{namespace}/pods"


def pod_path(pod: KubernetesObject) -> str:
    """Return the REST path of a pod."""
    return f"{pods_path(pod['metadata']['namespace'])}/{pod['metadata']['name']}"


def events_path(namespace: str) -> str:
    """Return the REST path of a namespace's events."""
    return f"/api/v1/namespaces/{namespace}/events"
