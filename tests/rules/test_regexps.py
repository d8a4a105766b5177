"""Regular expressions that would hang a backtracking engine finish at once, and their size is bounded."""
import time

import pytest

from mesh.rules.regexps import MAX_PROGRAM, BadRegexp, TextTooLong, compile_regexp

EVIL = [(r"(x+x+)+y", b"x" * 16384), (r"^(a+)+$", b"a" * 16383 + b"!"), (r"^(([a-z])+.)+[A-Z]([a-z])+$", b"a" * 16384),
        (r"(a|aa)+$", b"a" * 16383 + b"b"), (r"(.*a){25}b", b"a" * 16384), (r"(a?){80}a{80}$", b"a" * 79),
        (r"^(\w+\s?)*$", b"a " * 8191 + b"\xff\xff")]


@pytest.mark.parametrize("pattern, text", EVIL)
def test_an_evil_expression_on_an_evil_text_finishes_at_once(pattern, text):
    found = compile_regexp(pattern)
    begun = time.process_time()
    found(text)
    assert time.process_time() - begun < 0.5        # measured: below 1 ms each; a backtracking engine needs years


def test_an_expression_of_too_many_instructions_is_refused():
    with pytest.raises(BadRegexp, match=f"the most allowed is {MAX_PROGRAM}"):
        compile_regexp("[ab]{900}" * 5)
    with pytest.raises(BadRegexp, match="60000 bytes"):
        compile_regexp("a?" * 30_000)
    with pytest.raises(BadRegexp, match="too large"):
        compile_regexp(r"(\pL{1,50}\.){20}")


@pytest.mark.parametrize("pattern", [r"^\pL+$", r"^[\pL\pN_]+$", r"^\PN+$"])
def test_a_class_of_unicode_is_an_ordinary_expression(pattern):
    assert compile_regexp(pattern)("\u00e9\u4e2d".encode())


@pytest.mark.parametrize("pattern", [r"\C", r"a\C*b", r"\\\C", r"\Q.\E\C"])
def test_the_escape_for_one_byte_is_refused_as_by_go(pattern):
    with pytest.raises(BadRegexp, match=r"invalid escape sequence: \\C"):
        compile_regexp(pattern)


@pytest.mark.parametrize("pattern, text", [(r"\\C", rb"\C"), (r"\Q\C\E", rb"\C"), (r"\\\\C", rb"\\C")])
def test_a_backslash_that_is_meant_before_a_c_is_no_such_escape(pattern, text):
    assert compile_regexp(pattern)(text)


def test_a_text_is_too_long_only_where_the_search_might_stop_a_worker():
    assert not compile_regexp("^[a-z]+://")(b"x" * 1_000_000)
    assert not compile_regexp("[ab]*a[ab]{900}c")(b"ab" * 8192)
    with pytest.raises(TextTooLong):
        compile_regexp("[ab]*a[ab]{900}c")(b"ab" * 16384)


def test_nothing_is_captured_and_groups_do_no_harm():
    assert compile_regexp(r"^(a)(?P<n>b)(?:c)$")(b"abc")


def test_case_is_folded_only_where_asked():
    assert compile_regexp("ABC", fold_case=True)(b"abc")
    assert not compile_regexp("ABC")(b"abc")
