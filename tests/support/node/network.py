"""What the node takes of the machine's network: one bridge, its addresses, and two ports.

All follow from the bridge's number, which is claimed by creating the bridge: the kernel lets only
one process do that. The bridge's hardware address tells which node's folder it belongs to.
"""

import hashlib
import ipaddress
import json
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.node.errors import NodeError
from tests.support.wait import wait_for

_BRIDGE = "flowjob"
_POOL = ipaddress.IPv4Network("10.213.0.0/16")
_PREFIX = 22
# Below the range of ports that the kernel gives to outgoing connections: none of those can take
# the port of an API server that is stopped for a while.
_FIRST_PORT = 21000


@dataclass(frozen=True)
class Network:
    """The bridge of one node, and the numbers that follow from it."""

    number: int

    @property
    def bridge(self) -> str:
        return f"{_BRIDGE}-{self.number}"

    @property
    def subnet(self) -> ipaddress.IPv4Network:
        size = 2 ** (_POOL.max_prefixlen - _PREFIX)
        return ipaddress.IPv4Network((int(_POOL[0]) + self.number * size, _PREFIX))

    @property
    def gateway(self) -> str:
        """The machine's own address on the bridge."""
        return str(self.subnet.network_address + 1)

    @property
    def api_server_port(self) -> int:
        return _FIRST_PORT + 2 * self.number

    @property
    def kubelet_port(self) -> int:
        return self.api_server_port + 1


def claim_network(folder: Path) -> Network:
    """Create a bridge for the node in `folder`, with a subnet and ports that nobody uses."""
    count = 2 ** (_PREFIX - _POOL.prefixlen)
    first = int(_hardware_address(folder).replace(":", ""), 16)
    for offset in range(count):
        network = Network((first + offset) % count)
        if _is_free(network) and _create_bridge(network, folder):
            return network
    raise NodeError(
        f"All {count} bridges {_BRIDGE}-* or their subnets of {_POOL} are taken on this machine; "
        "stop nodes that are no longer needed with `python -m tests.support.node down DIR`."
    )


def find_network(folder: Path) -> Network:
    """Return what the running node in `folder` has claimed."""
    found = bridges(folder)
    if not found:
        raise NodeError(f"No node runs in {folder}; start one there first.")
    return Network(int(found[0].removeprefix(f"{_BRIDGE}-")))


def release_network(folder: Path) -> None:
    """Delete the bridge of the node in `folder` and the pods' ends of it."""
    for bridge in bridges(folder):
        for link in _show("link", "show", "master", bridge):
            _delete_link(link["ifname"])
        _delete_link(bridge)
    wait_for(lambda: not bridges(folder), f"the bridge of {folder} to be gone", 10)


def bridges(folder: Path) -> list[str]:
    """Return the names of the bridges that belong to the node in `folder`."""
    address = _hardware_address(folder)
    links = _show("link", "show", "type", "bridge")
    return [link["ifname"] for link in links if link.get("address") == address]


def _hardware_address(folder: Path) -> str:
    digest = hashlib.sha256(str(folder).encode()).digest()
    # 02 marks an address as given by hand, not by a maker of hardware.
    return ":".join(f"{byte:02x}" for byte in (2, *digest[:5]))


def _is_free(network: Network) -> bool:
    if any(_overlaps(route.get("dst", ""), network.subnet) for route in _show("route", "show")):
        return False
    return all(_can_listen(port) for port in (network.api_server_port, network.kubelet_port))


def _overlaps(destination: str, subnet: ipaddress.IPv4Network) -> bool:
    try:
        return ipaddress.IPv4Network(destination).overlaps(subnet)
    except ValueError:
        return False  # "default", or IPv6


def _can_listen(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _create_bridge(network: Network, folder: Path) -> bool:
    address = _hardware_address(folder)
    created = _ip("link", "add", "name", network.bridge, "address", address, "type", "bridge")
    if created.returncode != 0:
        if "File exists" in created.stderr:
            return False
        raise NodeError(
            f"The bridge {network.bridge} could not be created; check that this machine lets root "
            f"change its network: {created.stderr.strip()}"
        )
    length = network.subnet.prefixlen
    _ip("address", "add", f"{network.gateway}/{length}", "dev", network.bridge).check_returncode()
    _ip("link", "set", network.bridge, "up").check_returncode()
    return True


def _delete_link(name: str) -> None:
    # It may be gone by itself: the kernel takes a link down with the pod's network namespace.
    _ip("link", "delete", name)


def _show(*arguments: str) -> list[dict[str, Any]]:
    shown = _ip("-json", *arguments)
    shown.check_returncode()
    links: list[dict[str, Any]] = json.loads(shown.stdout or "[]")
    return links


def _ip(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
