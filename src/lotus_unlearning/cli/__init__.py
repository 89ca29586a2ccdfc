"""The command ``lotus``: one module per sub-command, loaded when it is asked for."""

from lotus_unlearning.cli.dispatch import COMMANDS, main

__all__ = ["COMMANDS", "main"]
