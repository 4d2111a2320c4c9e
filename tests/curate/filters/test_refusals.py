"""An answer that declines goes; one that is polite first and answers then stays."""

import pytest

from demiurgic.curate.filters.refusals import refusals
from row_batches import reasons, talks

DECLINING = [
    "I'm sorry, but I can't help with that.",
    "I’m sorry, I cannot assist with this request. If you have any other questions, feel free to ask!",
    "As an AI language model, I don't have personal opinions or feelings.",
    "As an AI, I am not able to browse the internet. Please check a news site for this.",
    "I am unable to provide medical advice. I recommend consulting a doctor.",
    "Unfortunately, I won't be able to generate that kind of content.",
    "Sorry, this task needs sound, and we cannot complete this task.",
    "I do not have access to real-time information.",
    "I must respectfully decline.",
]
ANSWERING = [
    "I'm sorry for the confusion. The capital of France is Paris.",
    "I'm sorry to hear that you lost your keys. Call a locksmith.",
    "Sorry, I won't be able to make it to the meeting.",
    "The cake was so good that I can't help but eat more.",
    "An AI language model predicts the next word from the words before it.",
    "You cannot divide by zero.",
    "I can't say for sure, but here is what is known. "
    + "The bridge was built by Roman engineers with great care. " * 4,
    "Write: 'I am sorry, but I cannot attend.' It is short and polite.",
    "",
    "对不起,我不明白你的问题。",
]


@pytest.mark.parametrize("answer", DECLINING)
def test_an_answer_that_declines_is_dropped_with_its_sentence(answer):
    verdicts = refusals(talks(("Do it.", answer)))
    assert reasons(verdicts) == ["the answer declines"]
    assert verdicts.evidence[0] in answer


@pytest.mark.parametrize("answer", ANSWERING)
def test_an_answer_stays(answer):
    assert reasons(refusals(talks(("Do it.", answer)))) == [None]


def test_how_much_may_stand_beside_a_refusal_is_an_option():
    rows = talks(("Who?", "I cannot answer that with certainty. Most people name one of five bridges in the city."))
    assert reasons(refusals(rows)) == ["the answer declines"]
    assert reasons(refusals(rows, max_words_besides=5)) == [None]


def test_a_refusal_deep_in_a_long_answer_is_none():
    assert reasons(refusals(talks(("Say.", "It is so. And so. And so on. " * 50 + "I cannot help with that.")))) == [
        None
    ]


def test_a_long_text_and_a_null_byte_are_read():
    assert reasons(refusals(talks(("a", "I'm sorry\0, I can't help. " + "x " * 5_000_000)))) == [None]
