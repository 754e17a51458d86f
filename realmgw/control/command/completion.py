"""Completion scripts for shells, made from the command line's own parser. Edge: the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping

import attrs


@attrs.frozen
class Word:
    """What may stand at a place of the command line."""

    text: str
    """A command, an option or a choice."""
    help: str
    """What it is for."""


Tree = Mapping[str, tuple[Word, ...]]
"""What may follow, by the commands that stand before, joined by spaces; empty for the first word."""


def tree(parser: argparse.ArgumentParser) -> Tree:
    """Everything that a parser understands."""
    return dict(_walk(parser, ""))


def _walk(parser: argparse.ArgumentParser, place: str) -> Iterator[tuple[str, tuple[Word, ...]]]:
    words: list[Word] = []
    below: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:  # noqa: SLF001 - argparse tells it in no other way
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - see above
            below.update(action.choices)
            words += [Word(str(each.dest), each.help or "") for each in action._choices_actions]  # noqa: SLF001 - see above
        elif action.option_strings:
            words.append(Word(action.option_strings[-1], action.help or ""))
        else:
            words += [Word(str(choice), action.help or "") for choice in action.choices or ()]
    yield place, tuple(words)
    for name, child in below.items():
        yield from _walk(child, f"{place} {name}".strip())


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """A script that completes the parser's command line.

    Args:
        parser: It.
        shell: One of `SHELLS`.
    """
    return SHELLS[shell](parser.prog, tree(parser))


def _bash(program: str, places: Tree) -> str:
    return "\n".join(
        [
            f"# Completion of {program} for bash.",
            f"_{program}() {{",
            '    local place="" word',
            "    COMPREPLY=()",
            *_place_in_shell('"${COMP_WORDS[@]:1:COMP_CWORD-1}"'),
            '    COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}"))',
            '    [ ${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- "${COMP_WORDS[COMP_CWORD]}"))',
            "}",
            *_words_in_shell(program, places),
            f"complete -F _{program} {program}",
        ]
    )


def _place_in_shell(before: str) -> list[str]:
    return [
        f"    for word in {before}; do",
        '        case "$word" in -*) continue ;; esac',
        '        _realmgw_words "${place:+$place }$word" && place="${place:+$place }$word"',
        "    done",
        '    _realmgw_words "$place"',
    ]


def _words_in_shell(program: str, places: Tree) -> list[str]:
    """A function that sets `words` to what may follow, and fails at a place that there is not."""
    cases = [
        f'        "{place}") words="{" ".join(word.text for word in words)}" ;;' for place, words in places.items()
    ]
    return [f"_{program}_words() {{", '    case "$1" in', *cases, "        *) return 1 ;;", "    esac", "}"]


def _zsh(program: str, places: Tree) -> str:
    return "\n".join(
        [
            f"#compdef {program}",
            f"_{program}() {{",
            '    local place="" word words_here',
            '    for word in "${(@)words[2,CURRENT-1]}"; do',
            '        [[ "$word" = -* ]] && continue',
            f'        _{program}_here "${{place:+$place }}$word" && place="${{place:+$place }}$word"',
            "    done",
            f'    _{program}_here "$place"',
            f"    _describe '{program}' here || _files",
            "}",
            f"_{program}_here() {{",
            '    case "$1" in',
            *(f'        "{place}") here=({" ".join(map(_zsh_word, words))}) ;;' for place, words in places.items()),
            "        *) return 1 ;;",
            "    esac",
            "}",
            "typeset -a here",
            f"compdef _{program} {program}",
        ]
    )


def _zsh_word(word: Word) -> str:
    return "'" + f"{word.text}:{_plain(word.help)}".replace("'", "") + "'"


def _plain(text: str) -> str:
    return text.replace("[%(default)s]", "").replace("%(default)s", "").replace(":", "").strip()


def _fish(program: str, places: Tree) -> str:
    lines = [f"# Completion of {program} for fish."]
    for place, words in places.items():
        words_before = place.split()
        seen = " ".join(f"; and __fish_seen_subcommand_from {word}" for word in words_before)
        below = [each.removeprefix(place).split()[0] for each in places if each.startswith(place) and each != place]
        unseen = f"; and not __fish_seen_subcommand_from {' '.join(dict.fromkeys(below))}" if below else ""
        condition = f"true{seen}{unseen}"
        for word in words:
            what = f"-l {word.text.removeprefix('--')}" if word.text.startswith("--") else f"-f -a {word.text}"
            if word.text != "-h":
                help_text = _plain(word.help).replace("'", "")
                lines.append(f"complete -c {program} -n '{condition}' {what} -d '{help_text}'")
    return "\n".join(lines)


SHELLS: Mapping[str, Callable[[str, Tree], str]] = {"bash": _bash, "fish": _fish, "zsh": _zsh}
"""What makes the script of each shell."""
