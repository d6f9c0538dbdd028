"""An Airflow connection of type ``kubernetes``: address, certificates and credentials.

Its configuration is loaded by the cncf-kubernetes provider's ``KubernetesHook``, so that
in-cluster, file, inline and exec credentials mean here what they mean there.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import ssl
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook
    from kubernetes.client import Configuration


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


def tls_context(configuration: Configuration) -> ssl.SSLContext:
    """Read what the connection says of certificates, from files: not for an event loop."""
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


async def credentials_of(configuration: Configuration) -> dict[str, str]:
    """Return the headers by which the API server knows who asks."""
    if configuration.refresh_api_key_hook:
        # It may read a file or run an exec plugin.
        settings = await asyncio.to_thread(configuration.auth_settings)
    else:
        settings = configuration.auth_settings()
    return {setting["key"]: setting["value"] for setting in settings.values()}
