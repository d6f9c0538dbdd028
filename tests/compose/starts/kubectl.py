#!/usr/bin/python3
"""As `kubectl wait --for=condition=Ready node --all`, all that docker-compose.yaml asks of it."""

import base64
import json
import os
import ssl
import sys
import urllib.request
from pathlib import Path
from typing import Any

import yaml

assert sys.argv[1:5] == ["wait", "--for=condition=Ready", "node", "--all"], sys.argv


def data(part: dict[str, Any], key: str) -> bytes:
    return base64.b64decode(part[f"{key}-data"])


content = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
cluster, user = content["clusters"][0]["cluster"], content["users"][0]["user"]
context = ssl.create_default_context(cadata=data(cluster, "certificate-authority").decode())
pair = Path("/tmp/kubectl.pem")
pair.write_bytes(data(user, "client-certificate") + data(user, "client-key"))
context.load_cert_chain(pair)
with urllib.request.urlopen(f"{cluster['server']}/api/v1/nodes", context=context) as answer:
    nodes = json.load(answer)["items"]
ready = [
    condition["status"] == "True"
    for node in nodes
    for condition in node["status"]["conditions"]
    if condition["type"] == "Ready"
]
sys.exit(0 if ready and all(ready) else 1)
