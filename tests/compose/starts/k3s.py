#!/usr/bin/python3
"""As the image of k3s': a Kubernetes node, reached on port 6443 by the names of `--tls-san`."""

import asyncio
import base64
import os
import signal
import subprocess
import sys
from pathlib import Path

import yaml

from tests.support.node.node import Node

# Where containerd can stack file systems, as a container's own cannot be stacked on.
VOLUME = Path("/var/lib/rancher/k3s")
FOLDER = Path("/node")
PORT = 6443


def main() -> None:
    names = [each.partition("=")[2] for each in sys.argv if each.startswith("--tls-san=")]
    FOLDER.mkdir(exist_ok=True)
    # The node sees a /var/lib of its own.
    subprocess.run(["mount", "--bind", VOLUME, FOLDER], check=True)
    # What a container before this one has left.
    subprocess.run(["rm", "-rf", FOLDER / "node"], check=True)
    node = Node(FOLDER / "node", names=names)
    node.start()
    port = node.configuration().network.api_server_port
    write_kubeconfig(node.kubeconfig, Path(os.environ["K3S_KUBECONFIG_OUTPUT"]))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    asyncio.run(forward(port))


def write_kubeconfig(kubeconfig: Path, target: Path) -> None:
    content = yaml.safe_load(kubeconfig.read_text())
    content["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{PORT}"
    for part in (content["clusters"][0]["cluster"], content["users"][0]["user"]):
        for key in [key for key in part if key in KEPT_IN_FILES]:
            data = Path(part.pop(key)).read_bytes()
            part[f"{key}-data"] = base64.b64encode(data).decode()
    target.write_text(yaml.safe_dump(content))


KEPT_IN_FILES = ("certificate-authority", "client-certificate", "client-key")


async def forward(port: int) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(copy(reader, server_writer), copy(server_reader, writer))

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "0.0.0.0", PORT) as server:
        await server.serve_forever()


if __name__ == "__main__":
    main()
