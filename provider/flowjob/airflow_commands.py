"""The commands of ``flowjob`` as ``airflow flow-job``, for Airflow 3.2 and later."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from flowjob import cli

if TYPE_CHECKING:
    from airflow.cli.cli_config import Arg, GroupCommand


def get_commands() -> list[GroupCommand]:
    """Describe the commands to Airflow (key ``cli`` of the provider info)."""
    from airflow.cli.cli_config import ActionCommand, GroupCommand

    commands = [
        ActionCommand(
            name=command.name,
            help=command.help,
            func=_ending(command.run),
            args=[_argument(argument) for argument in command.arguments],
        )
        for command in cli.COMMANDS
    ]
    return [GroupCommand(name="flow-job", help="Check and show Jobs", subcommands=commands)]


def _argument(argument: cli.Argument) -> Arg:
    from airflow.cli.cli_config import Arg

    return Arg(flags=argument.flags, **argument.settings)  # type: ignore[no-untyped-call]


def _ending(run: Callable[[cli.Arguments], int]) -> Callable[[cli.Arguments], None]:
    """Airflow takes no exit code from a command: end the process with it."""

    def command(arguments: cli.Arguments) -> None:
        raise SystemExit(run(arguments))

    return command
