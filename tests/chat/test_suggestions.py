import pytest

from demiurgic.chat.session import Session
from demiurgic.chat.suggestions import NUM_DRAWS, SUGGESTIONS, draw, suggestions_for
from demiurgic.collect.python_questions import PythonFile, ask
from scripted_models import ScriptedModel

CODE = '''\
def __len__(self):
    """Return how many items there are in the whole of this collection, counting each once."""
    return len(self._items_of_this_collection)


def __contains__(self, item):
    return item in self._items_of_this_collection or item in self._items_of_the_other
'''


def test_every_suggestion_has_the_form_of_a_training_row():
    rows = {row.facts["kind"]: row for row in ask(PythonFile("m.py", CODE, source="python_stdlib", license="PSF-2.0"))}
    for suggestion in SUGGESTIONS:
        task, _, given = rows[suggestion.kind].messages[0].content.partition("\n")
        assert suggestion.task == task
        assert given.endswith("\n") == suggestion.given.endswith("\n")
        assert suggestion.question == f"{suggestion.task}\n{suggestion.given}"


def test_only_forms_the_model_was_trained_on_are_offered():
    assert {suggestion.kind for suggestion in suggestions_for(["complete"])} == {"complete"}
    assert suggestions_for(["explain"]) == ()


def test_answers_are_drawn_with_other_seeds_until_one_parses():
    provider = ScriptedModel("    return 'w', 'w", "  ", "    return len(self._items)")
    session = Session(provider)
    heard = []
    drawn = draw(session, SUGGESTIONS[0], tell=heard.append)
    assert (drawn.num_draws, drawn.works) == (3, True)
    assert heard == [1, 2, 3]
    assert [turn.answer for turn in session.turns] == ["    return len(self._items)"]
    assert len({request.sampling.seed for request in provider.requests}) == 3
    assert all(len(request.messages) == 1 for request in provider.requests)


def test_when_nothing_parses_the_last_draw_is_shown_and_said_to_be_none():
    drawn = draw(Session(ScriptedModel("not ) python")), SUGGESTIONS[0], tell=lambda number: None)
    assert (drawn.num_draws, drawn.works) == (NUM_DRAWS, False)


def test_an_answer_that_was_cut_off_does_not_count():
    endless = "    return 1\n" * 200
    drawn = draw(Session(ScriptedModel(endless.replace("\n", " \n"))), SUGGESTIONS[0], tell=lambda number: None)
    assert drawn.turn.ending == "length"
    assert not drawn.works


@pytest.mark.parametrize("suggestion", SUGGESTIONS, ids=lambda suggestion: suggestion.given.split("(")[0])
def test_what_is_accepted_is_the_given_code_with_the_answer_behind_it(suggestion):
    drawn = draw(Session(ScriptedModel("    return self")), suggestion, tell=lambda number: None)
    compile(suggestion.given + drawn.turn.answer, "answer", "exec")
    assert drawn.works
