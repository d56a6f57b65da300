from __future__ import annotations

import copy
import pickle
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawn.domain.errors import InvalidField, UsageError
from spawn.domain.ids import MAX_CHILDREN
from spawn.domain.indexes import MAX_INDEX, STATE_WORDS, IndexSet, compress

small = st.sets(st.integers(0, 60), max_size=30)
spread = st.sets(st.integers(0, MAX_INDEX), max_size=30)
members = st.one_of(small, spread)
ranges = st.lists(
    st.builds(lambda first, count, step: range(first, first + count * step, step), st.integers(0, 40), st.integers(0, 12), st.integers(1, 5)), max_size=6
)


@pytest.mark.parametrize(
    ("text", "indexes", "limit"),
    [
        ("100", range(100), None),
        ("1", [0], None),
        ("0-99", range(100), None),
        ("1,3,5-7", [1, 3, 5, 6, 7], None),
        ("7,1", [1, 7], None),
        ("0-15:4", [0, 4, 8, 12], None),
        ("0-3:7", [0], None),
        ("5-5", [5], None),
        ("5-9%10", range(5, 10), 10),
        ("100%1", range(100), 1),
        ("1_000%1_0", range(1000), 10),
        (" 1, 3-4 ", [1, 3, 4], None),
        ("0-10:2,1-11:2", range(12), None),
        ("5-9,0-4", range(10), None),
        (str(MAX_INDEX) + "-" + str(MAX_INDEX), [MAX_INDEX], None),
    ],
)
def test_the_grammar_means_what_it_says(text: str, indexes: list[int], limit: int | None) -> None:
    parsed, at_once = IndexSet.parse(text)
    assert list(parsed) == list(indexes)
    assert at_once == limit


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("%10", "empty"),
        ("5-2", "'5-2' is reversed: write 2-5"),
        ("9-1:2", "write 1-9:2"),
        ("0", "at least 1"),
        ("1,1", "'1' in '1,1' names index 1 again"),
        ("0-5,3", "'3' in '0-5,3' names index 3 again"),
        ("0-5,5-9", "'5-9' in '0-5,5-9' names index 5 again"),
        ("0-10:2,4-6", "'4-6' in '0-10:2,4-6' names index 4 again"),
        ("-1", "'-1' is negative"),
        ("1--3", "'1--3' is negative"),
        ("0-9:0", "'0-9:0' has a step of 0"),
        ("5%0", "'%0' in '5%0'"),
        ("5%", "'%' in '5%'"),
        ("5%x", "'%x' in '5%x'"),
        ("5%1%2", "'%1%2' in '5%1%2'"),
        ("1,,2", "empty part"),
        ("1,2,", "empty part"),
        ("abc", "'abc' is not an index"),
        ("1-", "'1-' is not an index"),
        ("1.5", "'1.5' is not an index"),
        ("1__0", "'1__0' is not an index"),
        ("٣", "'٣' is not an index"),
        ("3:2", "'3:2' is not an index"),
        ("@faild,1", "'@faild' does not belong here"),
        ("1048577", "more than the 1048576 of one array"),
        ("0-1048576", "more than the 1048576 of one array"),
        ("0-600000,600001-1200000", "more than the 1048576 of one array"),
        ("2147483648", "'2147483648' is too large: the highest index is 2147483647"),
        ("9" * 5000, "... is too large".replace("... ", "...' ")),
    ],
)
def test_a_text_that_cannot_be_meant_is_refused_naming_the_token(text: str, named: str) -> None:
    with pytest.raises(InvalidField) as refused:
        IndexSet.parse(text)
    assert named in str(refused.value)
    assert str(refused.value).startswith("--array: ")
    assert len(str(refused.value)) < 220


def test_a_refusal_names_the_field_it_was_asked_for() -> None:
    with pytest.raises(UsageError, match=r"^indexes: '5-2'"):
        IndexSet.selection("5-2")


def test_the_largest_array_is_taken() -> None:
    assert IndexSet.parse(str(MAX_CHILDREN))[0].size == MAX_CHILDREN


def test_a_bare_number_is_a_size_only_alone_and_only_where_sizes_are_meant() -> None:
    assert list(IndexSet.parse("3")[0]) == [0, 1, 2]
    assert list(IndexSet.parse("3", bare_is_size=False)[0]) == [3]
    assert list(IndexSet.parse("3,5")[0]) == [3, 5]
    assert list(IndexSet.selection("3")) == [3]
    assert list(IndexSet.selection("0")) == [0]


def test_a_selection_has_no_limit() -> None:
    with pytest.raises(InvalidField, match="leave it out"):
        IndexSet.selection("1-3%2")


def test_the_state_words_are_those_of_the_documents() -> None:
    assert set(STATE_WORDS) == {"@failed", "@lost", "@interrupted", "@running", "@succeeded", "@pending"}


@pytest.mark.parametrize(
    ("indexes", "text"),
    [
        ([], ""),
        ([5], "5"),
        ([1, 3, 4, 5, 7], "1,3-5,7"),
        ([0, 4, 8, 12], "0-12:4"),
        ([1, 3, 5], "1,3,5"),
        ([8, 10, 12], "8-12:2"),
        ([3, 4], "3-4"),
        ([0, 2, 4, 5, 6], "0,2,4-6"),
        ([10, 9, 2, 1], "1-2,9-10"),
        ([0, 10, 20, 30, 40, 41], "0-30:10,40-41"),
        ([0, 3, 4, 6, 8, 10, 12], "0,3-4,6-12:2"),
    ],
)
def test_sets_are_printed_compressed_and_in_the_order_of_numbers(indexes: list[int], text: str) -> None:
    assert compress(indexes) == text == str(IndexSet.of(indexes))


@given(members)
def test_a_set_holds_what_it_was_made_of(indexes: set[int]) -> None:
    made = IndexSet.of(indexes)
    assert list(made) == sorted(indexes)
    assert len(made) == made.size == len(indexes)
    assert bool(made) == bool(indexes)
    assert all(index in made for index in indexes)
    assert not any(index in made for index in range(62) if index not in indexes)
    if indexes:
        assert (made.first, made.last) == (min(indexes), max(indexes))


@given(members)
def test_index_and_position_undo_one_another(indexes: set[int]) -> None:
    made = IndexSet.of(indexes)
    for position, index in enumerate(sorted(indexes)):
        assert made.index_at(position) == index
        assert made.position_of(index) == position


@given(members.filter(bool))
def test_what_is_printed_is_read_back(indexes: set[int]) -> None:
    made = IndexSet.of(indexes)
    assert IndexSet.selection(str(made)) == made
    assert IndexSet.parse(str(made), bare_is_size=False) == (made, None)
    if len(indexes) > 1:
        assert IndexSet.parse(str(made)) == (made, None)


@given(ranges)
def test_sets_of_the_same_indexes_are_equal_however_they_were_written(parts: list[range]) -> None:
    union = set().union(*parts)
    made = IndexSet(ranges=parts)
    assert list(made) == sorted(union)
    assert made == IndexSet.of(union)
    assert hash(made) == hash(IndexSet.of(union))
    assert all(before[-1] < after[0] for before, after in zip(made.ranges, made.ranges[1:], strict=False))


@given(ranges.filter(lambda parts: any(map(len, parts))))
def test_ranges_are_taken_exactly_when_no_index_is_named_twice(parts: list[range]) -> None:
    parts = [part for part in parts if part]
    text = ",".join(f"{part[0]}-{part[-1]}:{part.step}" for part in parts)
    if len(set().union(*parts)) == sum(map(len, parts)):
        assert list(IndexSet.selection(text)) == sorted(set().union(*parts))
    else:
        with pytest.raises(InvalidField, match="name each index once"):
            IndexSet.selection(text)


@given(st.text(max_size=20) | st.from_regex(r"[0-9,:%_@-]{1,12}", fullmatch=True))
def test_any_text_is_read_or_refused_in_one_sentence(text: str) -> None:
    try:
        parsed, limit = IndexSet.parse(text)
    except InvalidField:
        return
    assert len(parsed) >= 1
    assert limit is None or limit >= 1


def test_positions_outside_the_set_are_refused_and_indexes_outside_have_none() -> None:
    made = IndexSet.of([3, 4, 9])
    for position in (-1, 3):
        with pytest.raises(IndexError):
            made.index_at(position)
    assert made.position_of(5) is None
    assert made.position_of(-1) is None
    assert made.position_of(2) is None
    assert "3" not in made


def test_the_empty_set_has_no_first_index() -> None:
    with pytest.raises(IndexError):
        _ = IndexSet.of([]).first


@pytest.mark.parametrize("indexes", [[-1], [MAX_INDEX + 1]])
def test_indexes_that_cannot_be_are_refused(indexes: list[int]) -> None:
    with pytest.raises(InvalidField, match="reaches beyond"):
        IndexSet.of(indexes)


def test_a_million_indexes_cost_as_much_as_one_range() -> None:
    for text in ("1_000_000", "0-999999", "0-1999998:2"):
        made, _ = IndexSet.parse(text)
        assert len(made.ranges) == 1
        assert made.position_of(made.index_at(999_999)) == 999_999


def test_ten_thousand_scattered_indexes_are_taken_in_milliseconds() -> None:
    scattered = [index * 7919 % 1_000_003 for index in range(10_000)]
    best = min(_seconds(scattered) for _ in range(5))
    assert best < 0.05  # 5 ms on an idle machine; ten times as much is a change of order


def test_a_set_survives_copying_and_pickling() -> None:
    made = IndexSet.of([1, 2, 9])
    assert copy.deepcopy(made) == pickle.loads(pickle.dumps(made)) == made
    assert repr(made) == "IndexSet('1-2,9')"
    assert made != "1-2,9"


def _seconds(indexes: list[int]) -> float:
    began = time.perf_counter()
    IndexSet.of(indexes)
    return time.perf_counter() - began
