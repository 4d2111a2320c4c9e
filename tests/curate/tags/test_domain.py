"""The domain of a row is found by what is asked and by the form of the answer; agreement is measured on odd rows."""

import json
import re

import numpy as np
import pytest

from demiurgic.core.records import Message, Row, ToolCall
from demiurgic.curate.tags.cues import DOMAINS
from demiurgic.curate.tags.domain import WEIGHTS, domains_of
from real_data import needs_real_data, pairs, real_data, records
from row_batches import batch, talks

EXAMPLES = [
    ("code", "Write a function that adds two numbers.", "```python\ndef add(a, b):\n    return a + b\n```"),
    ("code", "Select all users older than 20 with an SQL query.", "SELECT * FROM users WHERE age > 20;"),
    ("mathematics", "Ann has 3 apples and buys 4 more. How many apples does she have?", "3 + 4 = 7. She has 7."),
    ("mathematics", "Solve the equation x^2 = 9.", r"$x = \pm\sqrt{9}$, so \(x = \pm 3\)."),
    (
        "science",
        "Why do plants need sunlight for photosynthesis?",
        "Light gives the energy to make sugar in the leaves.",
    ),
    ("conversation", "Hi there! How are you today?", "I'm well, thank you. How about you?"),
    ("creative", "Write a short poem about a dragon.", "A dragon sat upon a hill,\nand dreamt of gold."),
    ("creative", "You are a pirate. Tell me about the sea.", "Arr, the sea be wide."),
    (
        "reasoning",
        "If all bloops are razzies, and all razzies lie, is the argument valid? Options: (A) valid (B) invalid",
        "A",
    ),
    ("tools", "Toolformer access: search(query). Who won the race?", "The winner is: search('race winner')"),
]


@pytest.mark.parametrize(("domain", "asked", "answer"), EXAMPLES)
def test_a_clear_row_is_of_its_domain(domain, asked, answer):
    found = domains_of(talks((asked, answer)))
    assert found.labels().to_pylist() == [domain]
    assert 1 / len(DOMAINS) < found.confidence_N[0] <= 1


def test_every_domain_has_its_weights():
    assert set(WEIGHTS) == set(DOMAINS)


def test_a_row_that_offers_or_calls_tools_is_of_tools():
    call = Message("assistant", "", (ToolCall("1", "add", '{"a": 1}'),))
    talk = (Message("user", "Write a poem."), call, Message("tool", "2", tool_call_id="1"), Message("assistant", "2"))
    offered = Row("b", (Message("user", "Hi"), Message("assistant", "Hello")), tools="[]")
    assert domains_of(batch(Row("a", talk), offered)).labels().to_pylist() == ["tools", "tools"]


def test_the_words_of_a_system_do_not_count():
    system = Message("system", "You are a pirate who writes Python functions.")
    rest = (Message("user", "How many are 3 apples and 4 apples?"), Message("assistant", "3 + 4 = 7"))
    with_system, without = Row("a", (system, *rest)), Row("b", rest)
    found = domains_of(batch(with_system, without)).scores_ND
    np.testing.assert_array_equal(found[0], found[1])


def test_a_row_is_of_the_same_domain_alone_and_among_others():
    together = domains_of(talks(*((asked, answer) for _, asked, answer in EXAMPLES)))
    alone = [domains_of(talks((asked, answer))).scores_ND[0] for _, asked, answer in EXAMPLES]
    np.testing.assert_array_equal(together.scores_ND, alone)


def test_rows_of_nothing_known_get_a_domain_with_little_confidence():
    found = domains_of(talks(("", ""), ("\0", "\0"), ("你好吗", "很好")))
    assert (found.confidence_N < 0.5).all()


def hh(name):
    for record in records(name):
        turns = re.split(r"\n\n(Human|Assistant): ?", record["chosen"])[1:]
        roles = {"Human": "user", "Assistant": "assistant"}
        yield tuple(Message(roles[who], said) for who, said in zip(turns[::2], turns[1::2], strict=True))


def tau(name):
    for record in records(name):
        yield tuple(
            Message(turn["role"], turn.get("content") or "", tuple(ToolCall(c["id"], **c["function"]) for c in calls))
            for turn in record["traj"]
            for calls in [turn.get("tool_calls") or []]
        )


def asked_and_answered(name):
    yield from ((Message("user", prompt), Message("assistant", answer)) for prompt, answer in pairs(name))


def bbh(name):
    examples = (
        example
        for file in sorted(real_data(name).glob("*.json"))
        for example in json.loads(file.read_text())["examples"]
    )
    for record in examples:
        yield Message("user", record["input"]), Message("assistant", record["target"])


def mawps(name):
    for record in records(name):
        yield Message("user", record["original_text"]), Message("assistant", f"{record['equation']}\n{record['ans']}")


SETS = [
    ("mathematics", asked_and_answered, "gsm8k_train/train.jsonl"),
    ("mathematics", mawps, "llm_adapters_train/mawps_trainset.json"),
    ("mathematics", asked_and_answered, "llm_adapters_train/ft-training_set_math_data.json"),
    ("code", asked_and_answered, "codealpaca"),
    ("code", asked_and_answered, "gpteacher/codegen-instruct.json"),
    ("science", asked_and_answered, "llm_adapters_train/ARC-Challenge_train.json"),
    ("science", asked_and_answered, "llm_adapters_train/ARC-Easy_train.json"),
    ("science", asked_and_answered, "llm_adapters_train/openbookqa_train.json"),
    ("tools", asked_and_answered, "gpteacher/toolformer-dedupe-only-dataset.json"),
    ("tools", tau, "tau_bench"),
    ("conversation", hh, "hh_rlhf"),
    ("creative", asked_and_answered, "gpteacher/roleplay-simple-deduped-roleplay-instruct.json"),
    ("reasoning", bbh, "benchmarks/bbh"),
]


@needs_real_data
@pytest.mark.parametrize(("domain", "read", "name"), SETS, ids=[name for _, _, name in SETS])
def test_nine_of_ten_odd_rows_agree_with_their_source(domain, read, name):
    odd = list(read(name))[1::2]
    found = domains_of(batch(*(Row(str(number), messages) for number, messages in enumerate(odd))))
    assert np.mean(found.domains_N == DOMAINS.index(domain)) >= 0.9
