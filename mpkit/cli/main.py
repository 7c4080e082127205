"""The command line: `mpkit COMMAND ...`. The commands are in commands.py, training_commands.py and train_command.py;
parsing.py reads their arguments.

Every mistake of the user ends in one line on stderr and exit code 2.
"""

import contextlib
import inspect
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from mpkit.cli import commands, train_command, training_commands
from mpkit.cli.parsing import parse
from mpkit.cli.signals import ending_signals, ignore_ending_signals, interruption_behind
from mpkit.cli.streams import usable_streams
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
          training_commands.Prepare, training_commands.Pack, training_commands.Plot, training_commands.Ablate,
          training_commands.Distil, training_commands.Adapt)  # fmt: skip
COMMANDS = {kind.__name__.lower(): _command(kind, kind.__name__.lower()) for kind in _KINDS} | {
    "train": train_command.train
}


def main(arguments: list[str] | None = None) -> int:
    """Runs one command and returns the exit code: 0; 2 for a mistake of the user; 130, 143 or 129 when ended by ^C,
    SIGTERM or SIGHUP. Without `arguments` it takes those of the process, which is to end with the command."""
    with ending_signals(restore=arguments is not None), usable_streams():
        try:
            with _notes():
                code = _run(sys.argv[1:] if arguments is None else arguments)
            sys.stdout.flush()
            return code
        except BaseException as error:
            if interruption := interruption_behind(error):
                ignore_ending_signals()
                _print_line("interrupted")
                return getattr(interruption, "code", 130)
            if not isinstance(error, (MpkitError, OSError, MemoryError)):
                raise
            _print_line("there is too little memory for this" if isinstance(error, MemoryError) else str(error))
            return 2


def _run(arguments: list[str]) -> int:
    """The exit code. Raises MpkitError, SystemExit after the help of a command, and what the command raises."""
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
    return 0


def _print_line(message: str) -> None:
    """Prints one line on stderr, even if the message has line breaks."""
    print("mpkit:", *message.split(), file=sys.stderr)


def _usage() -> str:
    """The overview of all commands, each with the first line of its docstring."""
    lines = [f"  {name:<10}{inspect.cleandoc(run.__doc__).splitlines()[0]}" for name, run in COMMANDS.items()]
    return USAGE.format(commands="\n".join(lines))


@contextlib.contextmanager
def _notes() -> Iterator[None]:
    """Prints warnings of mpkit as one line each, each line once, and hides those of other libraries."""
    package, printed = str(Path(__file__).parents[1]), set()

    def show(message, category, filename, *_, **__):
        line = f"mpkit: note: {' '.join(str(message).split())}"
        if filename.startswith(package) and line not in printed:
            from tqdm import tqdm

            printed.add(line)
            tqdm.write(line, file=sys.stderr)

    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.showwarning = show
        yield


if __name__ == "__main__":
    sys.exit(main())
