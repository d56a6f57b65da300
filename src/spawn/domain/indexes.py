"""Index sets: which indexes an array has or a command means, in the one grammar that is used everywhere.

```
100            an array of that size: 0-99 (for --array); the index 100 itself (for a selection)
0-99           every index of the range, both ends
0-15:4         every fourth: 0, 4, 8, 12
1,3,5-7        these; none may be there twice
...%10         for --array: at most ten of them at once
1_000_000      numbers may have underscores
```
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise
from typing import Final, NoReturn, Self

from spawn.domain.errors import InvalidField
from spawn.domain.ids import MAX_CHILDREN

MAX_INDEX: Final = 2**31 - 1
"""The highest index: programs in every language read it as a signed 32-bit number."""

STATE_WORDS: Final = frozenset({"@failed", "@lost", "@interrupted", "@running", "@succeeded", "@pending"})
"""Words that stand, in a selection, for the indexes which are in that state now."""

_NUMBER = r"[0-9]+(?:_[0-9]+)*"
_TOKEN = re.compile(rf"({_NUMBER})(?:-({_NUMBER})(?::({_NUMBER}))?)?")
_WHOLE_NUMBER = re.compile(_NUMBER)
_NEGATIVE = re.compile(r"-[0-9].*|[0-9]+--[0-9].*")
_GRAMMAR = "write numbers and ranges such as 0-99, 1,3,5-7 or 0-15:4"


class IndexSet:
    """An immutable set of indexes, 0 to 2**31-1, kept as ranges: a million in a row cost as much as one.

    Made of any ranges, in any order; what they share counts once. Two sets of the same indexes are equal, however they were written.
    Iterating gives the indexes ascending; the place of an index in that order is its position, from 0.
    """

    __slots__ = ("_firsts", "_offsets", "_ranges")

    def __init__(self, *, ranges: Iterable[range]) -> None:
        self._take(_canonical(tuple(filter(len, ranges))))

    def _take(self, ranges: tuple[range, ...]) -> None:
        if ranges and not 0 <= ranges[0][0] <= ranges[-1][-1] <= MAX_INDEX:
            raise InvalidField("indexes", f"'{ranges[0][0]}-{ranges[-1][-1]}' reaches beyond 0-{MAX_INDEX}")
        self._ranges = ranges
        self._firsts = tuple([part.start for part in ranges])
        self._offsets = tuple(accumulate(map(len, ranges), initial=0))

    @classmethod
    def of(cls, indexes: Iterable[int]) -> Self:
        """The set of these indexes, in any order; twice is once. 10,000 of them take a few milliseconds."""
        result = cls.__new__(cls)
        result._take(_gathered(_runs(sorted(set(indexes)))))
        return result

    @classmethod
    def parse(cls, text: str, *, bare_is_size: bool = True, field: str = "--array") -> tuple[Self, int | None]:
        """Read a set and its limit on how many run at once (`%10`, else None). Refuses, naming the token: InvalidField.

        Refused are the empty text, reversed or overlapping ranges, an index named twice, steps and limits of 0, indexes above
        2,147,483,647, and more than 1,048,576 of them. A bare number is the size of an array, unless `bare_is_size` is false.
        """
        reader = _Reader(field=field, text=text)
        body, limit = reader.split_limit()
        if bare_is_size and _WHOLE_NUMBER.fullmatch(body):
            return cls(ranges=(reader.size(body),)), limit
        return cls(ranges=reader.ranges(body)), limit

    @classmethod
    def selection(cls, text: str, *, field: str = "indexes") -> Self:
        """Read a selection of indexes: the same grammar, but a bare number is that index, and there is no `%` limit."""
        reader = _Reader(field=field, text=text)
        if "%" in text:
            reader.refuse(f"'{_shown(text)}' has a limit (%), which only --array takes: leave it out")
        return cls(ranges=reader.ranges(text.strip()))

    @property
    def ranges(self) -> tuple[range, ...]:
        """Its ranges, ascending; none reaches into the next."""
        return self._ranges

    @property
    def size(self) -> int:
        """How many indexes it has."""
        return self._offsets[-1]

    @property
    def first(self) -> int:
        """The lowest index; IndexError when the set is empty."""
        return self._ranges[0][0]

    @property
    def last(self) -> int:
        """The highest index; IndexError when the set is empty."""
        return self._ranges[-1][-1]

    def __len__(self) -> int:
        return self._offsets[-1]

    def __iter__(self) -> Iterator[int]:
        return chain.from_iterable(self._ranges)

    def __contains__(self, index: object) -> bool:
        return isinstance(index, int) and self.position_of(index) is not None

    def index_at(self, position: int) -> int:
        """The index at a position, in logarithmic time of the number of ranges; IndexError outside 0 to size-1."""
        if not 0 <= position < self._offsets[-1]:
            raise IndexError(f"position {position} of {self._offsets[-1]}")
        which = bisect_right(self._offsets, position) - 1
        return self._ranges[which][position - self._offsets[which]]

    def position_of(self, index: int) -> int | None:
        """The position of an index, or None when the set does not have it; logarithmic as `index_at`."""
        which = bisect_right(self._firsts, index) - 1
        if which < 0 or index not in self._ranges[which]:
            return None
        return self._offsets[which] + self._ranges[which].index(index)

    def compressed(self) -> str:
        """The shortest usual text, `1,3-5,7` or `0-12:4`; empty for the empty set. `selection` reads it back.

        A set of one index is that bare number, which `parse` takes for a size: read it with `bare_is_size=False`.
        """
        return ",".join(map(_text, self._ranges))

    def __str__(self) -> str:
        return self.compressed()

    def __repr__(self) -> str:
        return f"IndexSet('{self.compressed()}')"

    def __eq__(self, other: object) -> bool:
        return self._ranges == other._ranges if isinstance(other, IndexSet) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._ranges)


def compress(indexes: Iterable[int]) -> str:
    """Indexes in any order as the shortest usual text: 3, 4, 5, 1 is `1,3-5`."""
    return IndexSet.of(indexes).compressed()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    """Reads one text; every refusal names the field, the token and the way out."""

    field: str
    text: str

    def refuse(self, problem: str) -> NoReturn:
        raise InvalidField(self.field, problem)

    def split_limit(self) -> tuple[str, int | None]:
        body, percent, limit = self.text.strip().partition("%")
        if not percent:
            return body, None
        if not _WHOLE_NUMBER.fullmatch(limit):
            self.refuse(f"'%{_shown(limit)}' in '{_shown(self.text)}' is not a limit: write how many may run at once, such as %10")
        if (number := self._number(limit)) == 0:
            self.refuse(f"'%{limit}' in '{_shown(self.text)}' lets nothing run: the limit is at least %1")
        return body, number

    def size(self, digits: str) -> range:
        """An array whose size was given as a bare number, from 1 to the most children."""
        if (size := self._number(digits)) == 0:
            self.refuse(f"'{digits}' is no size: an array has at least 1 index (for the index 0 alone write 0-0)")
        self._check_count(size)
        return range(size)

    def ranges(self, body: str) -> tuple[range, ...]:
        if not body:
            self.refuse(f"the index set is empty: {_GRAMMAR}")
        tokens = [token.strip() for token in body.split(",")]
        ranges = tuple(map(self._range, tokens))
        self._check_count(sum(map(len, ranges)))
        if sum(map(len, ranges)) > sum(map(len, _canonical(ranges))):
            self._refuse_shared(tokens, ranges)
        return ranges

    def _range(self, token: str) -> range:
        if (match := _TOKEN.fullmatch(token)) is None:
            self._refuse_token(token)
        first = self._number(match[1])
        last = first if match[2] is None else self._number(match[2])
        step = 1 if match[3] is None else self._number(match[3])
        if last < first:
            self.refuse(f"'{token}' is reversed: write {token.replace(f'{match[1]}-{match[2]}', f'{match[2]}-{match[1]}')}")
        if step == 0:
            self.refuse(f"'{token}' has a step of 0: a step is at least 1")
        return range(first, last + 1, step)

    def _number(self, digits: str) -> int:
        number = int(digits) if len(digits) <= 40 else MAX_INDEX + 1
        if number > MAX_INDEX:
            self.refuse(f"'{_shown(digits)}' is too large: the highest index is {MAX_INDEX}")
        return number

    def _check_count(self, count: int) -> None:
        if count > MAX_CHILDREN:
            self.refuse(f"'{_shown(self.text)}' has {count} indexes, more than the {MAX_CHILDREN} of one array: make several arrays")

    def _refuse_token(self, token: str) -> NoReturn:
        if not token:
            self.refuse(f"'{_shown(self.text)}' has an empty part: leave out the extra comma")
        if token.startswith("@"):
            self.refuse(f"'{_shown(token)}' does not belong here: a state word is one of {', '.join(sorted(STATE_WORDS))}, and stands alone")
        if _NEGATIVE.fullmatch(token):
            self.refuse(f"'{_shown(token)}' is negative: indexes begin at 0")
        self.refuse(f"'{_shown(token)}' is not an index or a range: {_GRAMMAR}")

    def _refuse_shared(self, tokens: list[str], ranges: tuple[range, ...]) -> NoReturn:
        seen: set[int] = set()
        for token, part in zip(tokens, ranges, strict=True):
            if shared := seen.intersection(part):
                self.refuse(f"'{token}' in '{_shown(self.text)}' names index {min(shared)} again: name each index once")
            seen.update(part)
        raise AssertionError("called only when an index is shared")


def _shown(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


def _canonical(ranges: tuple[range, ...]) -> tuple[range, ...]:
    """The one way to write the union of ranges. Only stepped ranges that have company are taken apart into single indexes."""
    if len(ranges) == 1 and (ranges[0].step == 1 or len(ranges[0]) > 2):
        return ranges
    return _gathered(_merged(ranges))


def _merged(ranges: tuple[range, ...]) -> list[range]:
    """The union of ranges as maximal runs: ascending, of step 1, never next to one another."""
    pieces = [(part[0], part[-1]) for part in ranges if part.step == 1]
    pieces.extend((index, index) for part in ranges if part.step != 1 for index in part)
    runs: list[range] = []
    for first, last in sorted(pieces):
        if runs and first <= runs[-1].stop:
            runs[-1] = range(runs[-1].start, max(runs[-1].stop, last + 1))
        else:
            runs.append(range(first, last + 1))
    return runs


def _runs(ascending: list[int]) -> list[range]:
    """Distinct ascending indexes as maximal runs."""
    stops = [before + 1 for before, index in pairwise(ascending) if index != before + 1]
    starts = [index for before, index in pairwise(ascending) if index != before + 1]
    return list(map(range, ascending[:1] + starts, stops + [index + 1 for index in ascending[-1:]]))


def _gathered(runs: list[range]) -> tuple[range, ...]:
    """Maximal runs as ranges: three or more single indexes at even distances become one, taken from the left."""
    marks = [run.start if len(run) == 1 else None for run in runs]
    gaps = [0 if one is None or next_ is None else next_ - one for one, next_ in pairwise(marks)]
    result: list[range] = []
    done = 0
    for at in [at for at, (gap, next_) in enumerate(pairwise(gaps)) if gap == next_ != 0]:
        if at >= done:
            end = at + 2
            while end < len(gaps) and gaps[end] == gaps[at]:
                end += 1
            result.extend(runs[done:at])
            result.append(range(runs[at].start, runs[end].stop, gaps[at]))
            done = end + 1
    result.extend(runs[done:])
    return tuple(result)


def _text(part: range) -> str:
    first, last = part[0], part[-1]
    if part.step == 1 or len(part) == 1:
        return str(first) if first == last else f"{first}-{last}"
    stepped = f"{first}-{last}:{part.step}"
    if len(part) > 3:
        return stepped
    listed = ",".join(map(str, part))
    return stepped if len(stepped) < len(listed) else listed
