"""An Airflow connection of type ``kubernetes``: address, certificates and credentials.

Its configuration is loaded by the cncf-kubernetes provider's ``KubernetesHook``, so that
in-cluster, file, inline and exec credentials mean here what they mean there.
"""

from __future__ import annotations

import gc
import importlib
import ssl
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import yaml

if TYPE_CHECKING:
    from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook
    from kubernetes.client import Configuration


@dataclass(frozen=True)
class ClusterConnection:
    """How to reach a cluster.

    :param configuration: address and credentials, as the provider's hook loaded them.
    :param namespace: the namespace that the Airflow connection names; else, as for kubectl, that of
        the kubeconfig's context, or in a cluster that of the own pod; None: none of them does.
    :param proxy: URL of the proxy that it is reached through, if any: that of the kubeconfig, or of
        the environment, where ``NO_PROXY`` does not say otherwise.
    """

    configuration: Configuration
    namespace: str | None
    proxy: str | None


def load_connection(kubernetes_conn_id: str) -> ClusterConnection:
    """Find an Airflow connection of type ``kubernetes``, and load it; not for an event loop.

    :param kubernetes_conn_id: id of the connection.
    :raises Exception: whatever the provider's hook raises, such as AirflowNotFoundException.
    """
    return load(find_connection(kubernetes_conn_id))


def find_connection(kubernetes_conn_id: str) -> KubernetesHook:
    """Ask Airflow for a connection, and return a hook that has no more to ask.

    It takes seconds where the hook was not imported yet: not for an event loop.

    :param kubernetes_conn_id: id of the connection.
    :raises Exception: whatever the hook raises, such as AirflowNotFoundException.
    """
    hook_type = kubernetes_hook()
    # Only now, as it comes with the hook, whose import is gentle.
    from kubernetes.client import Configuration

    # One of its own: by default the hook goes through one of the whole process, where another
    # thread's cluster and credentials may stand by then.
    hook = hook_type(conn_id=kubernetes_conn_id, client_configuration=Configuration())
    hook.get_namespace()
    return hook


def load(hook: KubernetesHook) -> ClusterConnection:
    """Load address and credentials: it reads files, and may run an exec plugin, which may hang.

    :raises Exception: whatever the hook raises.
    """
    from kubernetes.config import load_incluster_config

    configuration: Configuration = hook.client_configuration
    hook.get_conn()
    if hook.is_in_cluster:
        # Here alone the hook fills the default of the whole process instead.
        load_incluster_config(client_configuration=configuration)
    context, cluster = ({}, {}) if hook.is_in_cluster else _of_kubeconfig(hook)
    namespace = hook.get_namespace() or context.get("namespace")
    if namespace is None and hook.is_in_cluster:
        namespace = _own_namespace()
    # As for kubectl, whatever the environment says; the provider's client does not know it.
    proxy = cluster.get("proxy-url") or _proxy_of(configuration)
    return ClusterConnection(configuration, namespace, proxy)


def _own_namespace() -> str | None:
    """Return the namespace of the own pod."""
    from kubernetes.config import incluster_config

    file = Path(incluster_config.SERVICE_TOKEN_FILENAME).with_name("namespace")
    return file.read_text().strip() or None if file.is_file() else None


def _of_kubeconfig(hook: KubernetesHook) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the context that a kubeconfig chooses, and its cluster."""
    from kubernetes.config.kube_config import KUBE_CONFIG_DEFAULT_LOCATION, KubeConfigMerger

    fields = ("kube_config_path", "kube_config", "cluster_context")
    path, inline, chosen = (hook._get_field(field) for field in fields)
    if inline is None:
        merged = KubeConfigMerger(path or KUBE_CONFIG_DEFAULT_LOCATION).config
        content = merged.value if merged is not None else {}
    else:
        content = inline if isinstance(inline, dict) else yaml.safe_load(inline)

    def named(kind: str, name: Any) -> dict[str, Any]:
        # Those of several files know which file they are of.
        entries = [getattr(each, "value", each) for each in content.get(f"{kind}s") or []]
        return next((each.get(kind) or {} for each in entries if each.get("name") == name), {})

    context = named("context", chosen or content.get("current-context"))
    return context, named("cluster", context.get("cluster"))


def _proxy_of(configuration: Configuration) -> str | None:
    """Return the proxy that the provider's own client would take, or that the environment names."""
    from requests.utils import should_bypass_proxies

    host = configuration.host
    proxy: str | None = configuration.proxy or getproxies().get(urlsplit(host).scheme)
    # Without an argument it reads NO_PROXY, as the configuration did.
    return None if proxy and should_bypass_proxies(host, no_proxy=None) else proxy


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


def credentials_of(configuration: Configuration) -> dict[str, str]:
    """Return the headers by which the API server knows who asks.

    Where the configuration has a ``refresh_api_key_hook`` it may read a file, or run an exec
    plugin, which may hang.
    """
    settings = configuration.auth_settings()
    return {setting["key"]: setting["value"] for setting in settings.values()}
