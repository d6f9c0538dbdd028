"""The configuration files and command lines of the node's components."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.support.node.certificates import CertificateAuthority, KeyPair, write_signing_key
from tests.support.node.cgroups import cgroup_name
from tests.support.node.images import PAUSE_IMAGE, image_name_in_containerd
from tests.support.node.network import Network

# The kubelet listens on loopback, and the API server finds it there by the node's name.
NODE_NAME = "localhost"
# Unused: nothing here routes services or answers for DNS, but the API server wants a range.
_SERVICE_SUBNET = "10.96.0.0/16"
# Unix sockets in the working folder, which is the node's. etcd wants a port, and has no use for it.
_ETCD = "unix://etcd.sock:0"
_ETCD_PEER = "unix://etcd-peer.sock:0"


@dataclass(frozen=True)
class Configuration:
    """Where everything of the node in `folder` is, and how its components are called."""

    folder: Path
    network: Network
    # By which the API server is reached, beside this machine's own.
    names: Sequence[str] = ()

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def audit_log(self) -> Path:
        return self.folder / "log" / "audit.log"

    @property
    def containerd_socket(self) -> Path:
        return self.folder / "containerd.sock"

    @property
    def pki(self) -> Path:
        return self.folder / "pki"

    def write(self) -> None:
        """Write all certificates and configuration files."""
        self.pki.mkdir()
        # Pods that reach the API server, by a proxy of a test's, reach it on the bridge.
        authority = CertificateAuthority(self.pki, self.names, [self.network.gateway])
        authority.issue("api-server", "kube-apiserver")
        authority.issue("kubelet-server", "kubelet")
        authority.issue("kubelet-client", "kube-apiserver-kubelet-client", "system:masters")
        write_signing_key(self.pki, "service-accounts")
        clients = {
            "kubeconfig": ("admin", "system:masters"),
            "kubelet.kubeconfig": (f"system:node:{NODE_NAME}", "system:nodes"),
            "kube-scheduler.kubeconfig": ("system:kube-scheduler", None),
            # All controllers share this one identity, which saves making one for each at start.
            "kube-controller-manager.kubeconfig": (
                "system:kube-controller-manager",
                "system:masters",
            ),
        }
        for file_name, (user, group) in clients.items():
            pair = authority.issue(file_name, user, group)
            self._write_kubeconfig(self.folder / file_name, user, pair)
        self._write_containerd_files()
        self._write_json("kubelet.json", self._kubelet())
        self._write_json("audit-policy.json", _AUDIT_POLICY)

    def etcd(self) -> list[str]:
        # Unix sockets take no port, and nobody but root can open them in the node's folder.
        return [
            "--name=node",
            f"--data-dir={self.folder}/etcd",
            f"--listen-client-urls={_ETCD}",
            f"--advertise-client-urls={_ETCD}",
            f"--listen-peer-urls={_ETCD_PEER}",
            f"--initial-advertise-peer-urls={_ETCD_PEER}",
            f"--initial-cluster=node={_ETCD_PEER}",
            # The data need not outlive the machine.
            "--unsafe-no-fsync",
        ]

    def containerd(self) -> list[str]:
        return [f"--config={self.folder}/containerd.toml"]

    def api_server(self) -> list[str]:
        pki = self.pki
        return [
            f"--etcd-servers={_ETCD}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={self.network.api_server_port}",
            f"--tls-cert-file={pki}/api-server.crt",
            f"--tls-private-key-file={pki}/api-server.key",
            f"--client-ca-file={pki}/ca.crt",
            "--anonymous-auth=false",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={pki}/service-accounts.pub",
            f"--service-account-signing-key-file={pki}/service-accounts.key",
            f"--service-cluster-ip-range={_SERVICE_SUBNET}",
            # The only server's address is known, and loopback may not stand in an Endpoints.
            "--endpoint-reconciler-type=none",
            "--allow-privileged=true",
            # On SIGTERM open watches may go on for so long, instead of for a minute.
            "--shutdown-watch-termination-grace-period=1s",
            f"--kubelet-certificate-authority={pki}/ca.crt",
            f"--kubelet-client-certificate={pki}/kubelet-client.crt",
            f"--kubelet-client-key={pki}/kubelet-client.key",
            "--kubelet-preferred-address-types=Hostname",
            f"--audit-policy-file={self.folder}/audit-policy.json",
            f"--audit-log-path={self.audit_log}",
            # A request is in the log by the time its answer is out, and the log stays one file.
            "--audit-log-mode=blocking",
            "--audit-log-maxsize=100000",
        ]

    def controllers(self) -> dict[str, list[str]]:
        """The arguments of the programs that only act through the API server, by program."""
        return {
            "kube-controller-manager": self._controller_manager_arguments(),
            "kube-scheduler": self._scheduler_arguments(),
        }

    def _controller_manager_arguments(self) -> list[str]:
        return [
            f"--kubeconfig={self.folder}/kube-controller-manager.kubeconfig",
            f"--service-account-private-key-file={self.pki}/service-accounts.key",
            f"--root-ca-file={self.pki}/ca.crt",
            "--leader-elect=false",
            "--secure-port=0",
            # The defaults are made for a server with many other clients.
            "--kube-api-qps=200",
            "--kube-api-burst=400",
        ]

    def _scheduler_arguments(self) -> list[str]:
        return [
            f"--kubeconfig={self.folder}/kube-scheduler.kubeconfig",
            "--leader-elect=false",
            "--secure-port=0",
        ]

    def kubelet(self) -> list[str]:
        return [
            f"--config={self.folder}/kubelet.json",
            f"--kubeconfig={self.folder}/kubelet.kubeconfig",
            f"--root-dir={self.folder}/kubelet",
            f"--cert-dir={self.folder}/kubelet/pki",
            f"--hostname-override={NODE_NAME}",
            f"--node-ip={self.network.gateway}",
        ]

    def _write_kubeconfig(self, path: Path, user: str, pair: KeyPair) -> None:
        server = f"https://127.0.0.1:{self.network.api_server_port}"
        kubeconfig = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "flowjob-test",
                    "cluster": {
                        "server": server,
                        "certificate-authority": str(self.pki / "ca.crt"),
                    },
                }
            ],
            "users": [
                {
                    "name": user,
                    "user": {
                        "client-certificate": str(pair.certificate),
                        "client-key": str(pair.key),
                    },
                }
            ],
            "contexts": [
                {"name": "flowjob-test", "context": {"cluster": "flowjob-test", "user": user}}
            ],
            "current-context": "flowjob-test",
        }
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(kubeconfig, sort_keys=False))

    def _write_containerd_files(self) -> None:
        (self.folder / "containerd.toml").write_text(
            _CONTAINERD.format(
                folder=self.folder,
                socket=self.containerd_socket,
                pause_image=image_name_in_containerd(PAUSE_IMAGE),
            )
        )
        bridge = {
            "type": "bridge",
            "bridge": self.network.bridge,
            # No default route and no address translation: pods reach each other and the bridge's
            # own address, nothing else, and the machine needs neither forwarding nor iptables.
            "ipam": {
                "type": "host-local",
                "dataDir": str(self.folder / "addresses"),
                "ranges": [[{"subnet": str(self.network.subnet), "gateway": self.network.gateway}]],
            },
        }
        network = {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge]}
        self._write_json("cni/pods.conflist", network)

    def _kubelet(self) -> dict[str, object]:
        (self.folder / "resolv.conf").write_text(f"nameserver {self.network.gateway}\n")
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": "127.0.0.1",
            "port": self.network.kubelet_port,
            "readOnlyPort": 0,
            "healthzPort": 0,
            "tlsCertFile": str(self.pki / "kubelet-server.crt"),
            "tlsPrivateKeyFile": str(self.pki / "kubelet-server.key"),
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(self.pki / "ca.crt")},
            },
            "authorization": {"mode": "Webhook"},
            "containerRuntimeEndpoint": f"unix://{self.containerd_socket}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{cgroup_name(self.folder)}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "makeIPTablesUtilChains": False,
            "podLogsDir": str(self.folder / "log" / "pods"),
            "volumePluginDir": str(self.folder / "kubelet" / "volume-plugins"),
            # Nobody answers for DNS there, at once: without it each pod gets a warning event.
            "clusterDNS": [self.network.gateway],
            "resolvConf": str(self.folder / "resolv.conf"),
            "maxPods": 250,
            # Images cannot be pulled again, and a nearly full disk is no reason to evict pods.
            "imageGCHighThresholdPercent": 100,
            "evictionHard": {
                "memory.available": "100Mi",
                "nodefs.available": "1%",
                "nodefs.inodesFree": "1%",
                "imagefs.available": "1%",
                "imagefs.inodesFree": "1%",
            },
        }

    def _write_json(self, name: str, content: object) -> None:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content, indent=2))


_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        # With the labels of each Job, so that those of one task instance can be counted.
        {
            "level": "Request",
            "verbs": ["create"],
            "resources": [{"group": "batch", "resources": ["jobs"]}],
        },
        {"level": "Metadata"},
    ],
}

_CONTAINERD = """\
version = 2
root = "{folder}/containerd/root"
state = "{folder}/containerd/state"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]

[grpc]
  address = "{socket}"

[plugins."io.containerd.internal.v1.opt"]
  path = "{folder}/containerd/opt"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause_image}"
  disable_tcp_service = true
  # Inside a container or a restricted virtual machine even root may not lower this score.
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{folder}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
"""
