# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The commands of a shell script, read and not run."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_REDIRECTION = re.compile(r"\d*(>&\d|&>>?|>>?|<<<|<<-?|<)")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")
_ASSIGNMENT = re.compile(r"(\w+)=", re.ASCII)
_KEYWORDS = ("!", "do", "done", "elif", "else", "env", "exec", "export", "fi", "if", "then", "time", "until", "while")


@dataclass(frozen=True)
class Command:
    """One command.

    Args:
        line: line of the script that it starts in, from 1.
        words: command and arguments, without quotes; variables that the script sets are filled in, others stay.
        into: file that its output goes to.
        document: text of its here-document.
    """

    line: int
    words: tuple[str, ...]
    into: str | None = None
    document: str | None = None


class Script:
    """A script as its commands.

    Args:
        text: the script.
        capture: gets the inside of each ``$(...)`` with its line, and gives what it stands for.
    """

    def __init__(self, text: str, capture: Callable[[str, int], str]) -> None:
        self._text, self._capture = text, capture
        self._place = 0
        self._variables: dict[str, str] = {}

    def __iter__(self) -> Iterator[Command]:
        while self._place < len(self._text):
            found = self._command()
            words = list(found.words)
            while words and words[0] in _KEYWORDS:
                words.pop(0)
            while words and (assigned := _ASSIGNMENT.match(words[0])):
                self._variables[assigned[1]] = words.pop(0)[assigned.end() :]
            if words and words[0] != "for":
                yield Command(found.line, tuple(words), found.into, found.document)

    def _command(self) -> Command:
        words: list[str] = []
        into: str | None = None
        end: str | None = None
        document: str | None = None
        line = self._line()
        while self._place < len(self._text):
            here = self._text[self._place]
            if self._text.startswith("\\\n", self._place):
                self._place += 2
            elif here in " \t":
                self._place += 1
            elif here == "#":
                self._place = self._find("\n")
            elif redirection := _REDIRECTION.match(self._text, self._place):
                self._place = redirection.end()
                target = "" if redirection[1].startswith(">&") else self._target()
                if redirection[1] in ("<<", "<<-"):
                    end = target
                elif ">" in redirection[1]:
                    into = target
            elif here in "\n;&|()":
                self._place += 1
                if end is not None:  # it is the last of its line
                    document = self._document(end)
                break
            else:
                if not words:
                    line = self._line()
                words.append(self._word())
        return Command(line, tuple(words), into, document)

    def _target(self) -> str:
        while self._text[self._place : self._place + 1] in (" ", "\t"):
            self._place += 1
        return self._word()

    def _word(self) -> str:
        word = ""
        while self._place < len(self._text) and (here := self._text[self._place]) not in " \t\n;&|()<>":
            if here == "'":
                end = self._find("'", self._place + 1)
                word += self._text[self._place + 1 : end]
                self._place = end + 1
            elif here == '"':
                self._place += 1
                while self._place < len(self._text) and self._text[self._place] != '"':
                    word += self._piece(escapes='"\\$`\n')
                self._place += 1
            else:
                word += self._piece(escapes=None)
        return word

    def _piece(self, escapes: str | None) -> str:
        """Read one character, or what a variable or command in its place stands for."""
        here, after = self._text[self._place], self._text[self._place + 1 : self._place + 2]
        if here == "\\" and (escapes is None or after in escapes):
            self._place += 2
            return "" if after == "\n" else after
        if self._text.startswith("$(", self._place):
            line, start = self._line(), self._place + 2
            depth, self._place = 1, start
            while depth and self._place < len(self._text):
                depth += {"(": 1, ")": -1}.get(self._text[self._place], 0)
                self._place += 1
            return self._capture(self._text[start : self._place - 1], line)
        if variable := _VARIABLE.match(self._text, self._place):
            self._place = variable.end()
            return self._variables.get(variable[1] or variable[2], variable[0])
        self._place += 1
        return here

    def _document(self, end: str) -> str:
        lines = []
        while self._place < len(self._text):
            stop = self._find("\n")
            line = self._text[self._place : stop]
            self._place = stop + 1
            if line.strip() == end:
                break
            lines.append(f"{line}\n")
        return "".join(lines)

    def _find(self, what: str, start: int | None = None) -> int:
        place = self._text.find(what, self._place if start is None else start)
        return len(self._text) if place < 0 else place

    def _line(self) -> int:
        return self._text.count("\n", 0, self._place) + 1
