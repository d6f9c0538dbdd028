"""Kueue's manager as a process of this machine, beside the API server of a test node."""

import base64
import http.client
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client, config

from flowjob.status.job import true_condition
from tests.support.free_port import free_port
from tests.support.kueue.program import Object, definitions, manager, webhooks
from tests.support.node.certificates import CertificateAuthority
from tests.support.wait import wait_for

_START_SECONDS = 60.0
_SEARCH = "/usr/sbin:/usr/bin:/sbin:/bin"
_HOST = "127.0.0.1"
# Where the manager looks for the certificate of its metrics, whatever its configuration says.
_METRICS_CERTIFICATE = "etc/kueue/metrics/certs"
_CERTIFICATES = "certificates"
_KINDS = ("apiextensions.k8s.io", "customresourcedefinitions")
_ADMISSION = "admissionregistration.k8s.io"
_CONFIGURATIONS = {
    "MutatingWebhookConfiguration": "mutatingwebhookconfigurations",
    "ValidatingWebhookConfiguration": "validatingwebhookconfigurations",
}


class Kueue:
    """A manager that can be ended and started again, all of whose files are in one folder."""

    def __init__(self, folder: Path, port: int, health_port: int) -> None:
        self._folder = folder
        self._port, self._health_port = port, health_port
        self._authority = _write_certificates(folder)
        self._process: subprocess.Popen[bytes] | None = None

    def reach(self, path: str) -> Object:
        """Return how the API server reaches what the manager has at a path."""
        bundle = base64.b64encode(self._authority.read_bytes()).decode()
        return {"url": f"https://{_HOST}:{self._port}{path}", "caBundle": bundle}

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        self._process = _start(self._folder)
        _await_ready(self._process, self._health_port, self._folder / "log")

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@contextmanager
def running_kueue(kubeconfig: Path, folder: Path) -> Iterator[Kueue]:
    """Run Kueue until the block ends, or this process does.

    Its kinds stay in the cluster; its webhooks go, as without a manager no Job could be created.

    :param kubeconfig: of a cluster's administrator.
    :param folder: an empty one, all that the manager sees of the machine's files.
    """
    port, health_port = free_port(), free_port()
    kueue = Kueue(folder, port, health_port)
    with config.new_client_from_config(str(kubeconfig)) as api_client:
        api = client.CustomObjectsApi(api_client)
        _define(api, list(definitions(kueue.reach)))
        _write_files(folder, kubeconfig, port, health_port)
        try:
            kueue.start()
            for configuration in webhooks(kueue.reach):
                plural = _CONFIGURATIONS[configuration["kind"]]
                api.create_cluster_custom_object(_ADMISSION, "v1", plural, configuration)
            yield kueue
        finally:
            for configuration in webhooks(kueue.reach):
                plural = _CONFIGURATIONS[configuration["kind"]]
                name = configuration["metadata"]["name"]
                with suppress(client.ApiException):
                    api.delete_cluster_custom_object(_ADMISSION, "v1", plural, name)
            kueue.kill()


def _write_certificates(folder: Path) -> Path:
    """Write what the manager serves with, and return the certificate of who has signed it."""
    certificates = folder / _CERTIFICATES
    certificates.mkdir()
    authority = CertificateAuthority(certificates)
    authority.issue("tls", "kueue")
    shutil.copytree(certificates, folder / _METRICS_CERTIFICATE)
    return authority.certificate


def _define(api: Any, wanted: list[Object]) -> None:
    """Make Kueue's kinds known, and wait until the API server serves them."""
    group, plural = _KINDS
    for definition in wanted:
        name = definition["metadata"]["name"]
        try:
            api.create_cluster_custom_object(group, "v1", plural, definition)
        except client.ApiException as error:
            if error.status != 409:
                raise
            # Of a manager before this one, which had another port and authority.
            known = api.get_cluster_custom_object(group, "v1", plural, name)
            definition["metadata"]["resourceVersion"] = known["metadata"]["resourceVersion"]
            api.replace_cluster_custom_object(group, "v1", plural, name, definition)

    def are_served() -> bool:
        known = api.list_cluster_custom_object(group, "v1", plural)["items"]
        served = {each["metadata"]["name"] for each in known if true_condition(each, "Established")}
        return {definition["metadata"]["name"] for definition in wanted} <= served

    wait_for(are_served, "Kueue's kinds", _START_SECONDS)


def _write_files(folder: Path, kubeconfig: Path, port: int, health_port: int) -> None:
    shutil.copy(manager(), folder)
    # Paths in it are those of the machine.
    content = yaml.safe_load(kubeconfig.read_text())
    for entry in (content["clusters"][0]["cluster"], content["users"][0]["user"]):
        for name in ("certificate-authority", "client-certificate", "client-key"):
            if name in entry:
                data = Path(entry.pop(name)).read_bytes()
                entry[f"{name}-data"] = base64.b64encode(data).decode()
    (folder / "kubeconfig").touch(0o600)
    (folder / "kubeconfig").write_text(yaml.safe_dump(content))
    settings = {
        "apiVersion": "config.kueue.x-k8s.io/v1beta2",
        "kind": "Configuration",
        "health": {"healthProbeBindAddress": f"{_HOST}:{health_port}"},
        "metrics": {"bindAddress": "0"},
        "webhook": {"host": _HOST, "port": port, "certDir": f"/{_CERTIFICATES}"},
        "leaderElection": {"leaderElect": False},
        "internalCertManagement": {"enable": False},
        "integrations": {"frameworks": ["batch/job"]},
        "featureGates": {"VisibilityOnDemand": False},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))


def _start(folder: Path) -> subprocess.Popen[bytes]:
    command = ["setpriv", "--pdeathsig", "KILL", "chroot", str(folder), "/kueue"]
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [*command, "--config", "/config.yaml", "--zap-log-level", "3"],
            # Nothing else of the user's: above all no proxy.
            env={"PATH": _SEARCH, "HOME": "/", "KUBECONFIG": "/kubeconfig"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _await_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    def is_ready() -> bool:
        assert process.poll() is None, f"Kueue has ended:\n{log.read_text()[-3000:]}"
        connection = http.client.HTTPConnection(_HOST, port, timeout=5)
        with suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        return False

    wait_for(is_ready, "Kueue to be ready", _START_SECONDS)
