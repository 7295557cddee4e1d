"""Completion in bash, where a colon ends a word.

Bash takes ``127.0.0.1:5000/hello`` for several words (``COMP_WORDBREAKS`` has the colon)
and replaces only what stands behind the last colon.  So the line is cut into words here,
by the shell's rules alone, and from every candidate goes what bash keeps by itself.
"""

from __future__ import annotations

import os
from typing import Any

from click.shell_completion import CompletionItem, ShellComplete, split_arg_string

_SOURCE = r"""%(complete_func)s() {
    local type value
    COMPREPLY=()
    while IFS=, read -r type value; do
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("$value") ;;
        esac
    done < <(env COMP_WORDS="${COMP_LINE:0:COMP_POINT}" COMP_WORDBREAKS="$COMP_WORDBREAKS" \
        %(complete_var)s=bash_complete "$1")
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""
_BREAKS = ":="


class BashComplete(ShellComplete):
    """What the script asks for: ``COMP_WORDS`` is the line up to the cursor."""

    name = "bash"
    source_template = _SOURCE

    def get_completion_args(self) -> tuple[list[str], str]:
        """The complete words behind the program's name, and the one that is not."""
        line = os.environ.get("COMP_WORDS", "")
        words = split_arg_string(line)[1:]
        if not words or line[-1:].isspace():
            return words, ""
        return words[:-1], words[-1]

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """As click finds them, less what bash keeps of the word."""
        breaks = set(_BREAKS).intersection(os.environ.get("COMP_WORDBREAKS", _BREAKS))
        kept = incomplete[: 1 + max(map(incomplete.rfind, breaks), default=-1)]
        option, sign, _ = incomplete.partition("=")
        given = option + sign if sign and option.startswith("-") else ""
        return [
            item if item.type != "plain" else _shortened(item, given, kept)
            for item in super().get_completions(args, incomplete)
        ]

    def format_completion(self, item: CompletionItem) -> str:
        """A line for the script."""
        return f"{item.type},{item.value}"


def _shortened(item: CompletionItem, given: str, kept: str) -> CompletionItem:
    """`item` without what bash keeps; click has taken ``--option=`` (`given`) off already."""
    value: Any = f"{given}{item.value}"
    return CompletionItem(value.removeprefix(kept), type=item.type, help=item.help)
