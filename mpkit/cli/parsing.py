"""Parsing the arguments of a command with tyro. A mistake is one line: tyro's box of text is read and put in words."""

import contextlib
import inspect
import io
import re

import tyro

from mpkit.errors import MpkitError

_KINDS = {"INT": "a whole number", "FLOAT": "a number", "PATH": "a path"}


def parse(kind, name: str, description: str, arguments: list[str]):
    """What `tyro.cli` makes of the arguments of `mpkit name`. Raises MpkitError for arguments that do not fit."""
    if empty := _empty_argument(arguments):
        raise MpkitError(f"{empty} is empty; see mpkit {name} --help")
    box = io.StringIO()
    try:
        with contextlib.redirect_stderr(box):
            result, unknown = tyro.cli(
                kind,
                prog=f"mpkit {name}",
                description=inspect.cleandoc(description),
                args=arguments,
                return_unknown_args=True,
            )
    except SystemExit as end:
        if not end.code:  # --help
            raise
        raise MpkitError(f"{_in_words(box.getvalue())}; see mpkit {name} --help") from None
    if unknown:
        what = "option" if unknown[0].startswith("-") else "argument"
        raise MpkitError(f"unknown {what} {unknown[0]}; see mpkit {name} --help")
    return result


def _empty_argument(arguments: list[str]) -> str | None:
    """The name of the first argument without a value, such as an unset variable of a shell leaves; None if there is
    none. As a path it would be the current folder."""
    for before, argument in zip(["", *arguments], arguments):
        if argument == "":
            return before if before.startswith("-") else "an argument"
        if argument.startswith("-") and argument.endswith("="):
            return argument[:-1]
    return None


def _in_words(box: str) -> str:
    """The message in a box of tyro, as a part of a sentence; the box's own words, on one line, if it is of no kind that
    is known here."""
    lines = [line[2:-2].rstrip() for line in re.sub(r"\x1b\[[\d;]*m", "", box).splitlines()[1:-1]]
    text = " ".join(" ".join(lines).split())
    if "Missing from" in text:
        missing = re.findall(r"^ {4}(\S.*)((?:\n {8}.*)+)", "\n".join(lines), re.MULTILINE)
        if len(missing) > 1:
            return "give " + ", ".join(_option(names) for names, _ in missing)
        return f"give {_option(missing[0][0])}, {' '.join(missing[0][1].split()).removesuffix(' (required)')}"
    if found := re.search(r"invalid choice '(.*?)' for argument '(.*?)'. Expected one of \((.*?)\)", text):
        value, names, choices = found.groups()
        choices = [choice for choice in re.findall(r"'(.*?)'", choices) if choice != "None"]
        return f"{_option(names)} is one of {', '.join(sorted(choices))}, not {value}"
    if found := re.search(r"Missing value for argument '(.*?)'. Expected (\d+)", text):
        return f"{_option(found[1])} needs {'a value' if found[2] == '1' else found[2] + ' values'}"
    if found := re.search(r"Error parsing (\S+): .*? Argument helptext: (?:-\w \S+, )?\S+ (\S+)", text):
        kinds = [_KINDS.get(kind, kind.strip("{}")) for kind in found[2].split("|") if kind != "{None}"]
        return f"{found[1]} takes {' or '.join(kinds)}"
    return re.sub(r"^Error parsing \w+: |\W*For full helptext.*", "", text)


def _option(names: str) -> str:
    """The long name of an option, of "-o PATH, --output PATH"; the name of a positional argument."""
    return re.search(r"--[\w-]+|$", names)[0] or names.split()[0]
