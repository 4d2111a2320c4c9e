"""What is found in a text, and what is not; and that the compiled search finds what plain Python finds."""

from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demiurgic.core.errors import UserError
from demiurgic.text.contamination import Item, Scanner, build_index
from demiurgic.text.contamination.index import LEAST_FOUND, LEAST_WORDS
from plain_sets import words

BOAT = (
    "Three friends share the cost of a boat for 2 hours at 36 dollars an hour, and Maria brings 5 sandwiches for each "
    "of them. What does each of the friends pay for the boat, if the sandwiches are free?"
)


def scanner(*questions: str, template_items: int = 10, fuzzy: float | None = 0.7, n: int = 8) -> Scanner:
    items = [Item("sums", str(number), question) for number, question in enumerate(questions)]
    return Scanner(build_index(items, n=n, template_items=template_items), fuzzy=fuzzy)


def test_a_question_within_a_text_is_found_with_its_place():
    text = f"Solve this – please: {BOAT} Think aloud."
    hit = scanner(BOAT).ask(text)
    assert (hit.item.benchmark, hit.item.name, hit.how, hit.coverage) == ("sums", "0", "exact", 1.0)
    assert text.encode()[hit.start_byte : hit.stop_byte].decode() == BOAT.rstrip("?")


def test_evidence_says_no_more_of_the_question_than_a_few_words():
    evidence = scanner(BOAT).ask(BOAT).evidence
    assert evidence.startswith("sums 0, exact, coverage 1.00, bytes 0 to ")
    assert "Three friends share" in evidence
    assert "sandwiches" not in evidence


@pytest.mark.parametrize("width", [1, 3, 8])
def test_lines_that_are_wrapped_hide_nothing(width: int):
    parts = BOAT.split(" ")
    wrapped = "\n> ".join(" ".join(parts[at : at + width]) for at in range(0, len(parts), width))
    assert scanner(BOAT).ask(wrapped.upper()).coverage == 1.0


def test_changed_numbers_are_seen_through():
    fruit = "Ann has 12 apples, 30 pears and 7 plums, Bob has 5 apples, 9 pears and 14 plums. How many have both?"
    changed = "Ann has 8 apples, 31 pears and 70 plums, Bob has 6 apples, 2 pears and 1.5 plums. How many have both?"
    assert scanner(fruit).ask(changed).how == "fuzzy"
    assert scanner(fruit, fuzzy=None).ask(changed) is None


def test_a_changed_name_is_seen_through():
    changed = BOAT.replace("Maria", "Jörg").replace("boat", "yacht").replace("36", "48")
    assert scanner(BOAT).ask(changed).how == "fuzzy"


def test_a_question_of_the_same_kind_is_not_the_question():
    other = "Four colleagues split the rent of a hall for 3 days at 90 dollars a day. What does each of them pay?"
    assert scanner(BOAT).ask(other) is None


def test_letters_of_any_script_count():
    greek = "Τρεις φίλοι μοιράζονται το κόστος μιας βάρκας για δύο ώρες με τριάντα ευρώ την ώρα πόσο πληρώνει ο καθένας"
    chinese = "三个朋友租一条船两小时每小时三十六元每人应付多少钱"
    found = scanner(greek, chinese)
    assert found.ask(f"Λύσε: {greek.title()}!").item.name == "0"
    assert found.ask(f"请解答：{chinese}。").item.name == "1"
    assert found.ask("三个人去公园划船，天气很好，大家都很高兴。") is None


def test_words_that_many_items_share_are_no_match():
    template = "Please answer the following question with true or false and give no other words at all:"
    questions = [f"{template} is {number} times {number} the same as {2 * number} plus {word} or is it not?"
                 for number, word in enumerate(["one", "two", "three", "four", "five", "six", "seven"])]  # fmt: skip
    assert scanner(*questions, template_items=3, fuzzy=None).ask(f"{template} do cats like rain?") is None
    assert scanner(*questions, template_items=3, fuzzy=None).ask(f"So: {questions[4]}").item.name == "4"
    assert scanner(questions[0], fuzzy=None).ask(f"{template} do cats like rain?").how == "exact"


def test_an_item_that_is_all_template_is_found_whole():
    """Every 8-gram of the last is in four items: only the whole of it, nothing between, tells it from the others."""
    start = "write a function that finds the number of the words"
    questions = [*(f"{start} {end}" for end in ("in it", "of them", "out there")), start]
    found = scanner(*questions, template_items=2, fuzzy=None)
    hit = found.ask(f"First {start}.")
    assert (hit.item.name, hit.how) == ("3", "whole")
    assert found.ask(f"First {start.replace('number', 'sum')}.") is None


def test_a_short_item_of_symbols_is_found_only_with_its_symbols():
    found = scanner("not ( True ) and ( False ) is")
    assert found.ask("Q: not ( True ) and ( False ) is\nA: False").how == "whole"
    assert found.ask("Q: not (True) and (False) is\nA: False").how == "whole"
    assert found.ask("Q: not True and False is\nA: False") is None


def test_half_of_a_short_question_is_not_enough():
    short = "Write a function to convert a given string to a tuple."
    assert scanner(short).ask("Write a function to convert a given string to upper case.") is None
    assert scanner(short).ask(f"Task: {short}").coverage == 1.0


def test_of_two_items_the_one_found_best_is_named():
    longer = f"{BOAT} Round the answer to the nearest dollar, and say how you came to it."
    assert scanner(BOAT, longer).ask(BOAT).item.name == "0"
    assert scanner(BOAT, longer).ask(f"{longer} Go!").item.name == "1"


def test_choices_are_taken_with_a_question_that_is_too_short():
    items = [Item("choice", str(n), "Which is right?", f"the {a} of a {b} at noon\nnone of these {a}s\nthe last of all")
             for n, (a, b) in enumerate([("shadow", "tree"), ("colour", "cat")])]  # fmt: skip
    found = Scanner(build_index(items))
    assert (
        found.ask("Which is right?\nthe colour of a cat at noon\nnone of these colours\nthe last of all").item.name
        == "1"
    )
    assert found.ask("Which is right? I do not know.") is None


def test_an_item_that_two_files_hold_is_no_template_and_counted_once():
    items = [Item(f"copy{number}", "1", BOAT) for number in range(20)]
    index = build_index(items)
    assert (len(index.items), index.num_repeated) == (1, 19)
    assert Scanner(index).ask(BOAT).item.benchmark == "copy0"


def test_nothing_to_look_for_is_refused():
    with pytest.raises(UserError, match="of 2 items none has 4 words"):
        build_index([Item("a", "1", "2 + 2?"), Item("a", "2", "")])


def test_short_n_grams_are_refused():
    with pytest.raises(UserError, match="n is 2"):
        build_index([Item("a", "1", BOAT)], n=2)


def test_a_text_says_the_same_alone_and_among_many():
    found = scanner(BOAT)
    texts = ["", "Hello.", BOAT, "x" * 100_000, BOAT[:90], f"{BOAT}\n" * 3, "\x00", "Bye."] * 40
    together = found.scan(texts)
    assert list(together.texts_H) == [place for place, text in enumerate(texts) if found.ask(text)]
    assert len(together) == 80


def plain(texts: list[str], questions: list[str], *, n: int, template_items: int, bar: float) -> list[float | None]:
    """Per text the coverage of the item found best: by n-grams, or whole (1)."""
    items = [tuple(words(question)) for question in dict.fromkeys(questions)]
    items = [item for item in dict.fromkeys(items) if len(item) >= LEAST_WORDS]
    holders = defaultdict(set)
    for item in items:
        for at in range(len(item) - n + 1):
            holders[item[at : at + n]].add(item)
    distinct = {gram for gram, having in holders.items() if len(having) <= template_items}

    def covered(item, grams):
        return len({at + k for at in range(len(item) - n + 1) if item[at : at + n] in grams for k in range(n)})

    def found_in(text):
        said = tuple(words(text))
        grams = {said[at : at + n] for at in range(len(said) - n + 1)} & distinct
        shares = [covered(item, grams) / covered(item, distinct) for item in items
                  if covered(item, grams) >= min(LEAST_FOUND, len(item))]  # fmt: skip
        exact = [share for share in shares if share >= bar]
        whole = [item for item in items if covered(item, distinct) < min(LEAST_FOUND, len(item))]
        stands = any(said[at : at + len(item)] == item for item in whole for at in range(len(said)))
        return max(exact) if exact else 1.0 if stands else None

    return [found_in(text) for text in texts]


TALK = st.lists(st.sampled_from(["a", "b", "c", "cc", "é", "中"]), max_size=30).map(" ".join)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_the_compiled_search_finds_what_plain_python_finds(data: st.DataObject):
    questions = data.draw(st.lists(TALK, min_size=1, max_size=8))
    if max(len(words(question)) for question in questions) < LEAST_WORDS:
        return
    texts = data.draw(st.lists(TALK | st.sampled_from(questions).flatmap(lambda q: TALK.map(lambda t: f"{t} {q} {t}"))))
    n, template_items = data.draw(st.sampled_from([4, 5, 8, 13])), data.draw(st.integers(1, 3))
    hits = scanner(*questions, template_items=template_items, fuzzy=None, n=n).scan(texts)
    found: list[float | None] = [None] * len(texts)
    for place in range(len(hits)):
        found[hits[place].text] = hits[place].coverage
    wanted = plain(texts, questions, n=n, template_items=template_items, bar=0.5)
    assert found == pytest.approx(wanted)
