"""The command ``flowjob``: check a job spec, or show the Job that a task would create.

``flowjob check`` is for editors and pre-commit: without ``--server`` it imports neither Airflow
nor a Kubernetes client.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flowjob.exceptions import FlowJobError
from flowjob.spec.job_spec import JobSpec

Arguments = argparse.Namespace


@dataclass(frozen=True)
class Argument:
    """One argument of a command.

    :param flags: its name, or its options.
    :param settings: the rest of what ``argparse`` wants to know of it.
    """

    flags: tuple[str, ...]
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Command:
    """One command, for ``flowjob`` as for ``airflow flow-job``.

    :param name: its name.
    :param help: what it does, in one line.
    :param run: does it, and returns the exit code.
    :param arguments: its arguments.
    """

    name: str
    help: str
    run: Callable[[Arguments], int]
    arguments: tuple[Argument, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command ``flowjob``, and return its exit code: 0, or 1 where something is wrong.

    :param arguments: what stands after the command's name; default: that of this process.
    :raises SystemExit: with 2, the arguments are none that it knows.
    """
    parser = argparse.ArgumentParser(prog="flowjob", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        subparser = commands.add_parser(command.name, help=command.help, description=command.help)
        for argument in command.arguments:
            subparser.add_argument(*argument.flags, **argument.settings)
        subparser.set_defaults(run=command.run)
    parsed = parser.parse_args(arguments)
    return int(parsed.run(parsed))


def check(arguments: Arguments) -> int:
    """Check job specs, each as the operator does when a DAG is parsed."""
    specs: dict[str, JobSpec] = {}
    errors: dict[str, FlowJobError] = {}
    for file in arguments.specs:
        try:
            specs[file] = JobSpec.from_file(Path(file))
        except FlowJobError as error:
            errors[file] = error
    if arguments.server and specs:
        from flowjob.cli.dry_run import dry_run

        errors |= dry_run(specs, arguments.conn_id)
    for file in arguments.specs:
        if file in errors:
            print(_with_file(file, errors[file]), file=sys.stderr)
        else:
            doubt = specs[file].doubt
            print(f"{file}: ok" + (f", but {doubt}" if doubt else ""))
    return 1 if errors else 0


def _with_file(file: str, error: FlowJobError) -> str:
    return str(error) if str(Path(file)) in str(error) else f"{file}: {error}"


def render(arguments: Arguments) -> int:
    """Print the Job that a task would create."""
    from flowjob.cli.rendering import render_job

    try:
        print(
            render_job(
                arguments.dag_id,
                arguments.task_id,
                logical_date=arguments.logical_date,
                dag_file=arguments.dag_file,
            ),
            end="",
        )
    except FlowJobError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _date(text: str) -> datetime:
    date = datetime.fromisoformat(text)
    return date if date.tzinfo else date.replace(tzinfo=UTC)


COMMANDS: Iterable[Command] = (
    Command(
        name="check",
        help="Check job specs, as the operator does when a DAG is parsed",
        run=check,
        arguments=(
            Argument(
                ("specs",), {"nargs": "+", "metavar": "SPEC", "help": "a job spec, a YAML file"}
            ),
            Argument(
                ("--server",),
                {
                    "action": "store_true",
                    "help": "have the API server check them, too; it creates nothing",
                },
            ),
            Argument(
                ("--conn-id",),
                {
                    "default": "kubernetes_default",
                    "help": "Airflow connection of the cluster for --server "
                    "(default: kubernetes_default)",
                },
            ),
        ),
    ),
    Command(
        name="render",
        help="Print the Job that a task would create, with secret values masked",
        run=render,
        arguments=(
            Argument(("dag_id",), {"metavar": "DAG", "help": "id of the DAG"}),
            Argument(("task_id",), {"metavar": "TASK", "help": "id of the task"}),
            Argument(
                ("--logical-date",),
                {
                    "type": _date,
                    "metavar": "DATE",
                    "help": "logical date of the run, ISO 8601 (default: today, in UTC)",
                },
            ),
            Argument(
                ("--dag-file",),
                {
                    "metavar": "FILE",
                    "help": "the file with the DAG (default: look through all DAG bundles)",
                },
            ),
        ),
    ),
)
