"""The words of a Protobuf text, one after the other, each with its line and the comment before it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from headrace.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Token(NamedTuple):
    """A word: `kind` is word, number, string, sign or end."""

    kind: str
    text: str
    line: int
    comment: str


_TOKEN = re.compile(
    r"""(?P<space>[\s\ufeff]+)|(?P<comment>//[^\n]*|/\*.*?\*/)
    |(?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
    |(?P<number>0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<word>\.?[A-Za-z_][\w.]*)|(?P<sign>[{}\[\]()<>;=,:/+\-])""",
    re.VERBOSE | re.DOTALL,
)
_END = "the end of the text"


class Tokens:
    """Reads one text from its start to its end; `now` is the word that is next."""

    def __init__(self, text: str, at: str) -> None:
        self._at = at
        self._tokens = self._split(text)
        self.now = next(self._tokens)

    def _split(self, text: str) -> Iterator[Token]:
        place, line, comment = 0, 1, ""
        while place < len(text):
            found = _TOKEN.match(text, place)
            if found is None:
                self.now = Token("sign", text[place], line, "")
                raise self.wrong("a word, a number or a sign")
            kind, word = str(found.lastgroup), found[0]
            if kind == "comment":
                comment = f"{comment}\n{_plain(word)}".strip()
            elif kind != "space":
                yield Token(kind, word, line, comment)
                comment = ""
            elif word.count("\n") > 1:
                comment = ""  # an empty line: it spoke of something else
            line += word.count("\n")
            place = found.end()
        while True:
            yield Token("end", _END, line, "")

    def wrong(self, wanted: str) -> ContractError:
        """Return the error that something else should be where the text is."""
        place = f"{self._at}:{self.now.line}" if self._at else f"line {self.now.line}"
        return ContractError(
            f"this is no Protobuf: {self.now.text!r} where {wanted} should be", at=place, fix="correct it"
        )

    def fault(self, message: str, fix: str, line: int | None = None) -> ContractError:
        """Return an error at a line: that of the next word, unless another is given."""
        number = self.now.line if line is None else line
        return ContractError(message, at=f"{self._at}:{number}" if self._at else f"line {number}", fix=fix)

    def take(self, text: str = "", *, kind: str = "") -> str:
        """Return the next word and go on; it must be this one, or of this kind, where that is said."""
        token = self.now
        if (text and token.text != text) or (kind and token.kind != kind):
            raise self.wrong(repr(text) if text else f"a {kind}")
        if token.kind == "end":
            raise self.wrong("more")
        self.now = next(self._tokens)
        return token.text

    def at(self, *texts: str) -> bool:
        """Say whether the next word is one of these, and no text in quotes."""
        return self.now.kind != "string" and self.now.text in texts

    def text(self) -> str:
        """Return a text in quotes, its escapes meant; several in a row are one."""
        parts = [self._meant(self.take(kind="string"))]
        while self.now.kind == "string":
            parts.append(self._meant(self.take()))
        return "".join(parts)

    def _meant(self, word: str) -> str:
        try:
            return _unquoted(word)
        except (ValueError, OverflowError):
            raise self.fault(f"{word} has an escape of no character", "write one up to \\U0010FFFF") from None

    def number(self) -> int:
        """Return a whole number."""
        sign = -1 if self.at("-") and self.take("-") else 1
        word = self.take(kind="number")
        try:
            octal = len(word) > 1 and word[0] == "0" and word.isdigit()
            return sign * (int(word, 8) if octal else int(word, 0))
        except ValueError:
            raise self.fault(f"{word} is no whole number", "write a whole number") from None


def _plain(comment: str) -> str:
    if comment.startswith("//"):
        return comment.lstrip("/").strip()
    lines = (line.strip().removeprefix("*").strip() for line in comment[2:-2].strip("*").splitlines())
    return "\n".join(line for line in lines if line)


_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


def _unquoted(word: str) -> str:
    def meant(found: re.Match[str]) -> str:
        text = found[1]
        if text[0] in "xX" and len(text) > 1:
            return chr(int(text[1:], 16))
        if text[0] in "uU" and len(text) > 1:
            return chr(int(text[1:], 16))
        if text[0].isdigit():
            return chr(int(text, 8))
        return _ESCAPES.get(text, text)

    return re.sub(r"\\([xX][0-9a-fA-F]{1,2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{1,3}|.)", meant, word[1:-1])
