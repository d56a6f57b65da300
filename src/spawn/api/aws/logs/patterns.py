"""Filter patterns of FilterLogEvents: terms, quoted phrases, `?optional` and `-excluded` ones, as CloudWatch Logs matches them in unstructured events."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from spawn.domain.errors import InvalidField

_TERM = re.compile(r'\s*(?P<sign>[-?]?)(?:"(?P<phrase>(?:[^"\\]|\\.)*)"|(?P<word>[^\s"]+))')
_PLAIN = re.compile(r"[\w.,:;/@#$+=!<>|~^'()&-]+")
_ESCAPED = re.compile(r"\\(.)")
_OTHERS: Final = {"{": "JSON", "[": "space-delimited", "%": "regular expression"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """What an event must hold: every required term; one of the optional ones, if there are no required ones; and no excluded one. Case counts."""

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()

    def matches(self, message: str) -> bool:
        """Whether an event passes."""
        if any(term in message for term in self.excluded):
            return False
        if self.required:
            # beside required terms AWS leaves optional ones out of account
            return all(term in message for term in self.required)
        return not self.optional or any(term in message for term in self.optional)

    @property
    def trace(self) -> re.Pattern[bytes] | None:
        """What is found in the bytes of every event that passes, and of some others; None: nothing need be."""
        terms = (max(self.required, key=len),) if self.required else self.optional
        # U+FFFD stands for bytes that are no UTF-8, too
        if not terms or any(not term or "\ufffd" in term for term in terms):
            return None
        return re.compile(b"|".join(re.escape(term.encode("utf-8", "surrogatepass")) for term in terms))


def read_pattern(text: str) -> Pattern:
    """Read a pattern; JSON, space-delimited and regular expression ones, and what is none, are refused: InvalidField."""
    stripped = text.strip()
    if stripped and stripped[0] in _OTHERS:
        kind = _OTHERS[stripped[0]]
        raise InvalidField("filterPattern", f"'{_short(stripped)}' is a {kind} pattern, and only terms are matched here: write words, \"phrases\", ?any -not")
    terms: dict[str, list[str]] = {"": [], "?": [], "-": []}
    at = 0
    while at < len(stripped):
        match = _TERM.match(stripped, at)
        if match is None:
            raise InvalidField("filterPattern", f'\'{_short(stripped[at:])}\' has a quotation mark without another one: write "a phrase", or \\" in it')
        terms[match["sign"]].append(_term(match))
        at = match.end()
    return Pattern(required=tuple(terms[""]), optional=tuple(terms["?"]), excluded=tuple(terms["-"]))


def _term(match: re.Match[str]) -> str:
    if match["phrase"] is not None:
        return _ESCAPED.sub(r"\1", match["phrase"])
    word: str = match["word"]
    if not _PLAIN.fullmatch(word):
        raise InvalidField("filterPattern", f"'{_short(word)}' holds a character that means something else in patterns: put it in quotation marks")
    return word


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]}…"
