"""The commands of ``flowjob`` as ``airflow flow-job``, for Airflow 3.2 and later."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from flowjob.cli import commands

if TYPE_CHECKING:
    from airflow.cli.cli_config import Arg, GroupCommand


def get_commands() -> list[GroupCommand]:
    """Describe the commands to Airflow (key ``cli`` of the provider info)."""
    from airflow.cli.cli_config import ActionCommand, GroupCommand

    subcommands = [
        ActionCommand(
            name=command.name,
            help=command.help,
            func=_ending(command.run),
            args=[_argument(argument) for argument in command.arguments],
        )
        for command in commands.COMMANDS
    ]
    return [GroupCommand(name="flow-job", help="Check and show Jobs", subcommands=subcommands)]


def _argument(argument: commands.Argument) -> Arg:
    from airflow.cli.cli_config import Arg

    return Arg(flags=argument.flags, **argument.settings)  # type: ignore[no-untyped-call]


def _ending(run: Callable[[commands.Arguments], int]) -> Callable[[commands.Arguments], None]:
    """Airflow takes no exit code from a command: end the process with it."""

    def command(arguments: commands.Arguments) -> None:
        raise SystemExit(run(arguments))

    return command
