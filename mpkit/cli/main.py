"""The command line: `mpkit COMMAND ...`. The commands are in commands.py, training_commands.py and train_command.py;
parsing.py reads their arguments.

Every mistake of the user ends in one line on stderr and exit code 2.
"""

import contextlib
import inspect
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from mpkit.cli import commands, train_command, training_commands
from mpkit.cli.parsing import parse
from mpkit.errors import MpkitError

USAGE = """usage: mpkit COMMAND ...        help on one: mpkit COMMAND --help

MegaPortraits: makes a portrait, painted or photographed, move as a driver does.

commands
{commands}

examples
  mpkit animate painting.jpg driver.mp4 --output out.mp4
  mpkit animate painting.jpg driver.mp4 --output face.gif --no-paste-back --size 256
  mpkit track driver.mp4 --output motion.json

A mistake ends in one line on stderr and exit code 2, and leaves nothing behind."""


def _command(kind: type, name: str) -> Callable[[list[str]], None]:
    """A function that parses the arguments of a command and runs it. Its docstring is the command's."""

    def run(arguments: list[str]) -> None:
        parse(kind, name, kind.__doc__, arguments).run()

    run.__doc__ = kind.__doc__
    return run


_KINDS = (commands.Animate, commands.Track, commands.Info, commands.Evaluate, commands.Bench, training_commands.Heads,
          training_commands.Prepare, training_commands.Plot, training_commands.Ablate, training_commands.Distil,
          training_commands.Adapt)  # fmt: skip
COMMANDS = {kind.__name__.lower(): _command(kind, kind.__name__.lower()) for kind in _KINDS} | {
    "train": train_command.train
}


def main(arguments: list[str] | None = None) -> int:
    """Runs one command and returns the exit code: 0, 2 for a mistake of the user, 130 when interrupted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        with _notes():
            if not arguments or arguments[0] in ("-h", "--help"):
                print(_usage())
                return 0 if arguments else 2
            if arguments[0] == "--version":
                from importlib.metadata import version

                print(f"mpkit {version('mpkit')}")
                return 0
            if arguments[0] not in COMMANDS:
                raise MpkitError(f"there is no command '{arguments[0]}'; choose one of {', '.join(COMMANDS)}")
            COMMANDS[arguments[0]](arguments[1:])
            sys.stdout.flush()
            return 0
    except MpkitError as error:
        print("mpkit:", *str(error).split(), file=sys.stderr)  # one line, even if the message has line breaks
        return 2
    except KeyboardInterrupt:
        print("mpkit: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # as in `mpkit info | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _usage() -> str:
    """The overview of all commands, each with the first line of its docstring."""
    lines = [f"  {name:<10}{inspect.cleandoc(run.__doc__).splitlines()[0]}" for name, run in COMMANDS.items()]
    return USAGE.format(commands="\n".join(lines))


@contextlib.contextmanager
def _notes() -> Iterator[None]:
    """Prints warnings of mpkit as one line each, and hides those of other libraries."""
    package = str(Path(__file__).parents[1])

    def show(message, category, filename, *_, **__):
        if filename.startswith(package):
            from tqdm import tqdm

            tqdm.write(f"mpkit: note: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.showwarning = show
        yield


if __name__ == "__main__":
    sys.exit(main())
