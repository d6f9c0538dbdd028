"""Start and stop a node by hand, or build what it is made of.

    python -m tests.support.node up DIR          start a node in the folder DIR, in the background
    python -m tests.support.node kubeconfig DIR  print the path of its kubeconfig
    python -m tests.support.node down DIR        stop it and remove DIR, whatever state it is in
    python -m tests.support.node build           only build the binaries and images

The logs are in DIR/log. To look into the node's containers from outside Kubernetes:

    ctr --address DIR/containerd.sock --namespace k8s.io containers list
    ctr --address DIR/containerd.sock --namespace k8s.io images list
"""

import argparse
import signal
import sys
import time
from pathlib import Path

from tests.support.node.errors import NodeError
from tests.support.node.node import Node, build
from tests.support.node.progress import say


def main() -> int:
    """Run one command; return the exit code."""
    arguments = _parser().parse_args()
    # A polite end of this process, too, must stop a node that is half started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        if arguments.command == "build":
            build()
        else:
            _COMMANDS[arguments.command](Node(arguments.folder), arguments)
    except (NodeError, TimeoutError) as error:
        print("\n".join([f"error: {error}", *getattr(error, "__notes__", [])]), file=sys.stderr)
        return 1
    return 0


def _up(node: Node, arguments: argparse.Namespace) -> None:
    build()
    started = time.monotonic()

    def report(message: str) -> None:
        if arguments.verbose:
            say(f"{time.monotonic() - started:5.1f} s: {message}")

    node.start(report=report)
    say(f"The node is ready after {time.monotonic() - started:.1f} s; its logs: {node.folder}/log")
    print(f"export KUBECONFIG={node.kubeconfig}")


def _down(node: Node, _: argparse.Namespace) -> None:
    node.stop()
    say(f"The node in {node.folder} is stopped and removed.")


def _kubeconfig(node: Node, _: argparse.Namespace) -> None:
    if not node.kubeconfig.exists():
        raise NodeError(f"There is no node in {node.folder}; start one with `up {node.folder}`.")
    print(node.kubeconfig)


_COMMANDS = {"up": _up, "down": _down, "kubeconfig": _kubeconfig}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.node",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="only build the binaries and images")
    for name in _COMMANDS:
        command = commands.add_parser(name)
        command.add_argument("folder", type=Path, metavar="DIR")
        if name == "up":
            command.add_argument("--verbose", action="store_true", help="tell how far it has come")
    return parser


if __name__ == "__main__":
    sys.exit(main())
