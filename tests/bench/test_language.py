"""The bench of languages: what is right is counted, and what is code is told from what only parses."""

from bench_modules import bench


def test_an_identifier_is_right_as_often_as_it_says_what_is_wanted():
    language = bench("language")
    sets = [language.Labelled("some", ["a", "b", "c", "d"], ["en", "en", "de", "code"])]
    row = language.measure("always English", lambda texts: ["en", None] * (len(texts) // 2) or ["en"], sets)
    assert row["some"] == 0.25
    assert row["identifier"] == "always English"
    assert row["rows/cpu-s"] > 0


def test_a_word_that_parses_is_no_code():
    language = bench("language")
    assert not language.is_python("Yes")
    assert not language.is_python("It is so.")
    assert language.is_python("for each in some:\n    print(each)")
