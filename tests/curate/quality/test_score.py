"""Each part of the score falls with the fault it is there for, and the parts stay apart."""

import numpy as np
import pytest

from demiurgic.core.records import Row
from demiurgic.curate.quality.score import PARTS, Weights, length, quality_of
from real_data import needs_real_data, pairs, real_data
from row_batches import batch, talks

GOOD = (
    "The heart pumps blood through two loops. The first loop takes blood to the lungs, where it gives off "
    "carbon dioxide "
    "and takes up oxygen. The second loop carries the oxygen to the rest of the body. Valves between the "
    "chambers keep the "
    "blood from flowing back, and they make the two sounds that a doctor hears."
)
ASKED = "How does the heart work?"
GERMAN = (
    "Das Herz pumpt das Blut durch zwei Kreise. Der erste führt es zu den Lungen, wo es Sauerstoff aufnimmt, "
    "und der zweite "
    "bringt den Sauerstoff in den übrigen Körper. Klappen zwischen den Kammern halten es davon ab, zurückzufließen."
)
CHINESE = (
    "心脏通过两个循环输送血液。第一个循环把血液送到肺部,在那里释放二氧化碳并吸收氧气。"
    "第二个循环把氧气送到身体的其他部位。"
)


def scored(answer, *, asked=ASKED, **options):
    return quality_of(talks((asked, answer)), **options)


def part(name, answer, **options):
    return float(scored(answer, **options).part(name)[0])


def test_a_good_answer_is_good_in_every_part():
    found = scored(GOOD)
    assert [float(found.part(name)[0]) > limit for name, limit in zip(PARTS, (0.95, 0.95, 0.6, 0.5), strict=True)]
    assert found.total_N[0] > 0.8


def test_the_total_is_the_weighted_mean_of_the_parts():
    found = scored(GOOD)
    wanted = 0.3 * found.language_N + 0.3 * found.coherence_N + 0.2 * found.length_N + 0.2 * found.complexity_N
    np.testing.assert_allclose(found.total_N, wanted)
    only = scored(GOOD, weights=Weights(language=0, coherence=0, length=2, complexity=0))
    np.testing.assert_allclose(only.total_N, only.length_N)


def test_weights_that_are_all_zero_are_refused():
    with pytest.raises(ValueError, match="at least one part"):
        scored(GOOD, weights=Weights(language=0, coherence=0, length=0, complexity=0))


@pytest.mark.parametrize(("answer", "language"), [(GERMAN, "de"), (CHINESE, "zh"), (GOOD, "en")])
def test_a_language_matches_itself_and_no_other(answer, language):
    assert part("language", answer, asked="", language=language) > 0.9
    others = {"en", "de", "zh", "fr", "ja", "ru"} - {language}
    assert all(part("language", answer, asked="", language=other) < 0.5 for other in others)


def test_code_and_formulas_are_technical_and_need_fewer_common_words():
    code = "```python\ndef f(x):\n    return x + 1\n```"
    names = "Compute tensor gradients numerically via autograd:"
    assert part("language", f"{names}\n{code}", asked="Use of autograd?") > part(
        "language", names, asked="Use autograd"
    )
    assert part("language", code) > 0.95


@pytest.mark.parametrize(
    "worse",
    [
        GOOD + GOOD + GOOD,
        "The heart. " * 30,
        GOOD[:-60],
        GOOD + "\0\0\0",
        GOOD.replace(".", "").lower().replace(",", "") * 3,
        GOOD + "\n```python\nx = 1",
        "$%& @@ ## ** " * 20,
        "hgjkfdhgkjfd" * 40,
    ],
    ids=["three times", "one phrase", "cut off", "null bytes", "no sentence", "open fence", "signs", "one long word"],
)
def test_a_worse_text_is_less_coherent(worse):
    assert part("coherence", worse) < part("coherence", GOOD) - 0.1


def test_an_empty_answer_has_no_coherence_and_no_complexity():
    assert (part("coherence", ""), part("complexity", ""), part("coherence", " \n")) == (0, 0, 0)


def test_a_number_is_a_coherent_answer():
    assert part("coherence", "16", asked="What is 7 + 9?") == 1


def test_length_rises_to_150_tokens_and_falls_from_2048():
    found = length(np.array([1.0, 4, 20, 150, 2_048, 6_000, 16_384, 1e9]))
    np.testing.assert_allclose(found[[0, 1, 3, 4, 6, 7]], [0, 0, 1, 1, 0, 0], atol=1e-9)
    assert 0 < found[2] < 1
    assert 0 < found[5] < 1


def test_a_richer_answer_is_more_complex():
    words = [part("complexity", answer) for answer in ("Yes.", "Yes, the heart pumps blood.", GOOD)]
    assert words == sorted(words)
    steps = "1. Take the root: 3 * 3 = 9.\n2. Add one: 9 + 1 = 10.\n3. The result is 10."
    assert part("complexity", steps) > part("complexity", "Take the root and add one. The result is ten.")


def test_parts_lie_between_0_and_1_whatever_the_text():
    texts = ["", "\0", "a", "你好" * 500, "x" * 100_000, "```\n" * 300, "🙂" * 99, "\n\n\n", "(((((" * 99, GOOD * 50]
    found = quality_of(batch(*(Row(str(number), text=text) for number, text in enumerate(texts))))
    for name in ("total", *PARTS):
        scores = found.part(name)
        assert np.isfinite(scores).all()
        assert ((scores >= 0) & (scores <= 1)).all(), name


def test_ten_megabytes_are_scored():
    assert scored(GOOD + " " + "more and more words " * 500_000).length_N[0] == 0


@needs_real_data
def test_the_language_of_fifteen_is_told_from_english():
    lines = real_data("langid/xnli15_multilingual.txt").read_text(encoding="utf-8").splitlines()
    found = quality_of(batch(*(Row(str(number), text=line) for number, line in enumerate(lines)))).language_N
    english = np.arange(len(lines)) % 15 == 4
    assert found[english].mean() > 0.95
    # Turkish and Swahili sentences of a few words tell least.
    assert np.mean(found[~english] < 0.5) > 0.9


@needs_real_data
def test_few_rows_of_a_good_set_are_dropped():
    rows = talks(*pairs("gpteacher/roleplay-simple-deduped-roleplay-instruct.json"))
    assert np.mean(quality_of(rows).total_N < 0.5) < 0.01
