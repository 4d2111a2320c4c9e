"""A row goes when, by a key, it resembles a better row that stays: what real sets do to that."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demiurgic.core.records import Message, Row, ToolCall
from demiurgic.curate.duplicates.plain import jaccard, ngrams
from demiurgic.text.ngrams import Shingling
from spilled import decide, gone, reasons, spilled
from tiny_rows import a_few, chat

NEAR = {"threshold": 0.8}


def counted(*numbers: int) -> str:
    """A text of these words."""
    return " ".join(f"w{number}" for number in numbers)


LONG = range(40)


def with_changed(*places: int) -> str:
    return counted(*(number + 1000 if number in places else number for number in LONG))


def test_a_row_with_one_word_changed_goes_with_its_witness_key_and_similarity(tmp_path):
    rows = [Row("a", text=with_changed()), Row("b", text=with_changed(39)), Row("c", text=counted(*range(100, 140)))]
    decisions = decide(rows, tmp_path, near=NEAR)
    assert gone(rows, decisions) == {"b": "a"}
    assert reasons(rows, decisions) == {"b": "near-duplicate"}
    assert decisions.similarity_N is not None and decisions.key_N is not None
    assert decisions.similarity_N[1] == pytest.approx(37 / 39)
    assert decisions.keys[decisions.key_N[1]] == "pair"
    assert (decisions.metrics["recall"].value, decisions.metrics["precision"].value) == (1, 1)


def test_a_chain_loses_only_the_links_that_resemble_a_row_that_stays(tmp_path):
    # Each resembles the next (35 of 41 n-grams shared), and none the one after it.
    chain = [Row(str(start), text=counted(*range(start, start + 40))) for start in range(0, 24, 3)]
    assert gone(chain, decide(chain, tmp_path, near=NEAR)) == {"3": "0", "9": "6", "15": "12", "21": "18"}


def test_a_giant_cluster_loses_all_but_its_best_row(tmp_path):
    rows = [Row(str(number), text=with_changed(39) + f" {number % 7}") for number in range(2000)]
    rows[1234] = replace(rows[1234], scores={"quality": 1.0})
    decisions = decide(rows, tmp_path, near=NEAR, keep=["quality"], sample=50)
    assert set(gone(rows, decisions).values()) == {"1234"}
    assert decisions.facts["clusters"]["by_rows"]["100 and more"] == 1


def test_chinese_is_compared_by_character(tmp_path):
    base = "今天天气很好我们一起去公园散步然后回家吃饭看书写字听音乐"
    rows = [
        Row("a", text=base),
        Row("b", text=base + "吧"),
        Row("c", text="机器学习模型需要大量的数据和计算资源才能训练出来"),
    ]
    assert gone(rows, decide(rows, tmp_path, near=NEAR)) == {"b": "a"}


def test_texts_shorter_than_an_n_gram_are_not_all_one(tmp_path):
    rows = [chat(prompt, "x", id=prompt) for prompt in ("yes", "no", "Yes!", "maybe so", "Maybe, so.")]
    decisions = decide(rows, tmp_path, near={"n": 5})
    assert gone(rows, decisions) == {"Yes!": "yes", "Maybe, so.": "maybe so"}


def test_many_answers_to_one_prompt_stay_when_only_answers_are_compared(tmp_path):
    prompt = with_changed()
    rows = [chat(prompt, counted(*range(n * 100, n * 100 + 5)), id=str(n)) for n in range(4)]
    rows.append(chat("Another prompt", counted(*range(5)), id="same answer"))
    assert set(gone(rows, decide(rows, tmp_path / "1", near={"key": ["pair"]}))) == {"1", "2", "3"}
    assert gone(rows, decide(rows, tmp_path / "2", near={"key": ["response"]})) == {"same answer": "0"}
    assert set(gone(rows, decide(rows, tmp_path / "3", near={"key": ["prompt"]}))) == {"1", "2", "3"}


def test_a_set_that_is_another_under_a_new_name_goes_whole(tmp_path):
    talks = [(counted(*range(n, n + 900, 30)), counted(*range(n, n + 700, 20))) for n in range(6)]
    rows = [chat(ask, say, id=f"one{n}", source="one") for n, (ask, say) in enumerate(talks)]
    rows += [chat(ask, say + " !", id=f"two{n}", source="two") for n, (ask, say) in enumerate(talks)]
    decisions = decide(rows, tmp_path, near=NEAR)
    assert gone(rows, decisions) == {f"two{n}": f"one{n}" for n in range(6)}
    assert decisions.facts["between_sources"] == [{"gone": "two", "kept": "one", "rows": 6}]
    better = decide(rows, tmp_path / "2", near=NEAR, keep=["source_rank"], source_rank=["two", "one"])
    assert gone(rows, better) == {f"one{n}": f"two{n}" for n in range(6)}


def test_tool_calls_without_content_are_compared_by_what_they_call(tmp_path):
    def calling(id: str, arguments: str) -> Row:
        return Row(id, (Message("user", f"Ask {id}"), Message("assistant", "", (ToolCall(id, "find", arguments),))))

    rows = [calling("a", '{"where": "here", "what": "gold"}'), calling("b", '{"who": "you", "when": "now"}')]
    rows.append(calling("c", '{"where": "here", "what": "gold"}'))
    assert gone(rows, decide(rows, tmp_path, near={"key": ["response"]})) == {"c": "a"}


def test_empty_answers_and_answers_without_words_resemble_nothing(tmp_path):
    rows = [chat(f"Prompt {n}", answer, id=str(n)) for n, answer in enumerate(["", "", "...", "...", "\0"])]
    assert gone(rows, decide(rows, tmp_path, near={"key": ["response"]})) == {}


def test_a_row_goes_by_any_of_several_keys(tmp_path):
    prompts, answers = (
        (with_changed(), counted(*range(100, 140))),
        (counted(*range(200, 240)), counted(*range(300, 340))),
    )
    rows = [
        chat(prompts[0], answers[0], id="a"),
        chat(prompts[0], answers[1], id="b"),
        chat(prompts[1], answers[0], id="c"),
    ]
    decisions = decide(rows, tmp_path, near={"key": ["prompt", "response"]})
    assert gone(rows, decisions) == {"b": "a", "c": "a"}
    assert decisions.facts["by_key"] == {"prompt": 1, "response": 1}


def test_a_row_whose_witness_falls_to_a_later_key_is_judged_again(tmp_path):
    first, second = counted(*range(100, 140)), counted(*range(300, 340))
    rows = [
        chat("Who?", first, id="best"),
        chat(with_changed(), first, id="falls"),
        chat(with_changed(3), second, id="c"),
    ]
    rows.append(chat(with_changed(30), counted(*range(400, 440)), id="d"))
    # By prompt alone `c` and `d` go for `falls`, which goes by its answer; `d` resembles `c`'s prompt less than 0.8.
    assert gone(rows, decide(rows, tmp_path / "1", near={"key": ["prompt"]})) == {"c": "falls", "d": "falls"}
    assert gone(rows, decide(rows, tmp_path / "2", near={"key": ["prompt", "response"]})) == {"falls": "best"}


def test_a_copy_of_a_near_duplicate_goes_for_its_witness(tmp_path):
    rows = [Row("a", text=with_changed()), Row("b", text=with_changed(39)), Row("c", text=with_changed(39))]
    decisions = decide(rows, tmp_path, near=NEAR)
    assert gone(rows, decisions) == {"b": "a", "c": "a"}
    assert reasons(rows, decisions) == {"b": "near-duplicate", "c": "near-duplicate"}


def test_what_resembles_a_row_beyond_the_cap_is_judged_again(tmp_path):
    answer = with_changed()
    rows = [chat("Why?", "Because.", id="a"), chat("Why?", answer, id="b"), chat("How?", answer + " x", id="c")]
    near = {"key": ["response"]}
    assert gone(rows, decide(rows, tmp_path / "1", near=near)) == {"c": "b"}
    decisions = decide(rows, tmp_path / "2", near=near, answers_per_prompt=1)
    assert gone(rows, decisions) == {"b": "a"}
    assert reasons(rows, decisions) == {"b": "answers_per_prompt"}


def test_a_template_that_many_rows_share_does_not_make_them_alike(tmp_path):
    template = counted(*range(60))
    rows = [chat(template, counted(*range(n * 100, n * 100 + 6)), id=str(n)) for n in range(1, 9)]
    rows.append(chat(template, counted(*range(100, 106), 9), id="alike"))
    assert len(gone(rows, decide(rows, tmp_path / "1", near=NEAR))) == 8
    decisions = decide(rows, tmp_path / "2", near={"threshold": 0.7, "common_above": 5})
    assert gone(rows, decisions) == {"alike": "1"}
    assert decisions.metrics["precision"].value == 1


def test_threads_slices_and_memory_change_nothing(tmp_path):
    rows = [Row(str(n), text=with_changed(n % 40, (n * 7) % 40)) for n in range(60)]
    one = decide(rows, tmp_path / "1", near=NEAR)
    many = decide(rows, tmp_path / "2", near=NEAR, threads=3, slice_rows=11, memory_bytes=0)
    assert np.array_equal(one.witness_N, many.witness_N)
    assert np.array_equal(one.similarity_N, many.similarity_N, equal_nan=True)
    assert (one.facts, one.metrics) == (many.facts, many.metrics)


def test_the_texts_that_were_compared_are_gone_afterwards(tmp_path):
    rows = [Row("a", text="one two three")]
    decide(rows, tmp_path, near=NEAR)
    assert [path.name for path in tmp_path.iterdir()] == ["slice-0.arrow"]


words = st.lists(st.sampled_from("abc"), max_size=5).map(" ".join)


@a_few
@given(st.lists(st.tuples(words, words), max_size=12), st.sampled_from([None, 1, 2]), st.booleans())
def test_every_witness_stays_and_no_two_rows_that_stay_are_alike(tmp_path_factory, talks, most, backwards):
    rows = [chat(ask, say, id=str(n)) for n, (ask, say) in enumerate(talks)]
    keys = ["prompt", "response"][:: -1 if backwards else 1]
    folder = tmp_path_factory.mktemp("any")
    near = {"key": keys, "n": 2, "threshold": 0.5}
    decisions = decide(rows, folder, near=near, answers_per_prompt=most, keep=["longest"], sample=5)
    left = {row.id: row for row in rows} | dict.fromkeys(gone(rows, decisions))
    assert all(left[witness] is not None for witness in gone(rows, decisions).values())
    stay = [row for row in left.values() if row is not None]
    for place in (0, 1):
        texts = [ngrams(row.messages[place].content, Shingling(n=2)) for row in stay]
        assert all(jaccard(a, b) < 0.5 for n, a in enumerate(texts) for b in texts[:n])
    for place, row in enumerate(rows):
        if 0 <= decisions.key_N[place] < len(keys):
            at = ("prompt", "response").index(keys[decisions.key_N[place]])
            both = [
                ngrams(each.messages[at].content, Shingling(n=2)) for each in (row, rows[decisions.witness_N[place]])
            ]
            assert decisions.similarity_N[place] == pytest.approx(jaccard(*both))


def test_a_run_that_misses_duplicates_says_so(tmp_path):
    # One band of all 128 permutations: only rows that are nearly equal share it.
    rows = [Row(str(n), text=with_changed(*((n,) if n else ()))) for n in range(40)]
    near = {"method": "minhash", "permutations": 128, "bands": 1}
    recall = decide(rows, tmp_path, near=near).metrics["recall"]
    assert recall.high < 0.5
    assert recall.n == 39


def test_without_a_sample_nothing_is_checked(tmp_path):
    rows = [Row("a", text=with_changed()), Row("b", text=with_changed(39))]
    decisions = decide(rows, tmp_path, near=NEAR, sample=0)
    assert not decisions.metrics and "check" not in decisions.facts


def test_only_rows_of_the_spill_that_are_wanted_are_read_again(tmp_path):
    from demiurgic.curate.duplicates.config import Duplicates
    from demiurgic.curate.duplicates.survey import survey
    from demiurgic.text.workspace import Workspace

    spill = spilled([Row(str(n), text=f"text {n}") for n in range(10)], tmp_path, slice_rows=4, batch_rows=3)
    alive = np.arange(10) % 2 == 0
    with Workspace(tmp_path, 1 << 20) as workspace:
        looked = survey(spill, alive, config=Duplicates(), keys=["pair"], workspace=workspace, threads=2)
        assert looked.texts["pair"].take(np.array([4, 0, 3])) == {0: "text 0", 3: "text 6", 4: "text 8"}
        assert [text for batch in looked.texts["pair"].batches() for text in batch.to_pylist()] == [
            f"text {n}" for n in range(0, 10, 2)
        ]


def test_an_exact_copy_and_a_row_beyond_the_cap_say_what_they_were_matched_by(tmp_path):
    rows = [chat("Why?", "Because.", id="0"), chat("Why?", "Because.", id="1"), chat("Why?", "Who knows.", id="2")]
    decisions = decide(rows, tmp_path, answers_per_prompt=1)
    assert [decisions.keys[decisions.key_N[row]] for row in (1, 2)] == ["all that is said", "prompt"]
    assert decisions.key_N[0] == -1
