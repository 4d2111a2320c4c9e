"""Words beside tokens: the same bytes at the same place, and nothing where a service cuts otherwise."""

from demiurgic.train.signals.align import align


def aligned(words, tokens, **options):
    return dict(sorted(align(words, tokens, **options).word.items()))


def test_the_same_cuts_are_laid_one_to_one():
    assert aligned([b"def", b" add", b"("], [b"def", b" add", b"("]) == {0: 0, 1: 1, 2: 2}


def test_where_a_service_cuts_otherwise_the_tokens_it_cuts_through_get_nothing():
    assert aligned([b"def ", b"add", b"("], [b"def", b" add", b"("]) == {2: 2}
    assert aligned([b"def", b" a", b"dd", b"("], [b"def", b" add", b"("]) == {0: 0, 2: 3}


def test_a_space_that_stands_before_a_word_is_not_one_that_stands_behind_it():
    assert aligned([b"a", b" ", b"b"], [b"a", b" b"]) == {0: 0}


def test_nothing_after_another_text_is_laid_to_anything():
    assert aligned([b"def", b" sub", b"("], [b"def", b" add", b"("]) == {0: 0}


def test_a_character_cut_into_bytes_is_laid_byte_by_byte():
    face = "😀".encode()
    tokens = [b"a", face[:2], face[2:], b"b"]
    assert aligned([b"a", face[:2], face[2:], b"b"], tokens) == {0: 0, 1: 1, 2: 2, 3: 3}
    assert aligned([b"a", face[:3], face[3:], b"b"], tokens) == {0: 0, 3: 3}


def test_lost_bytes_are_known_by_what_stands_around_them():
    face = "😀".encode()
    tokens = [b"a", face[:2], face[2:], b"b", b"c"]
    found = align([b"a", None, None, b"b", b"c"], tokens)
    assert (found.word, found.lost) == ({0: 0, 1: 1, 2: 2, 3: 3, 4: 4}, {1, 2})


def test_lost_bytes_that_are_as_many_tokens_as_do_not_fit_are_laid_to_none():
    face = "😀".encode()
    tokens = [b"a", face[:2], face[2:], b"b", b"c"]
    assert aligned([b"a", None, b"b", b"c"], tokens) == {0: 0}
    assert aligned([b"a", None, None, None, b"c"], [*tokens[:3], b"c"]) == {0: 0}
    assert aligned([b"a", None, None], tokens) == {0: 0}


def test_lost_bytes_at_the_end_of_the_words_reach_to_the_end_of_the_text():
    face = "😀".encode()
    tokens = [b"a", face[:2], face[2:], b"<end>"]
    assert aligned([b"a", None, None], tokens[:3]) == {0: 0, 1: 1, 2: 2}
    assert aligned([b"a", None, None], tokens, end=5) == {0: 0, 1: 1, 2: 2}
    assert aligned([b"a", None], tokens, end=5) == {0: 0}


def test_words_may_begin_within_a_text_and_end_before_it():
    assert aligned([b"left", b"right"], [b"x", b"left", b"right", b"\xff<end>"], start=1) == {1: 0, 2: 1}


def test_an_empty_word_stands_for_nothing():
    assert aligned([b"", b"a", b"", b"b"], [b"a", b"b"]) == {0: 1, 1: 3}


def test_a_text_of_nothing_has_nothing_to_lay():
    assert aligned([], [b"a"]) == {}
    assert aligned([b"a"], []) == {}
