import pytest

from demiurgic.chat.about import Answering
from demiurgic.chat.commands import COMMANDS, Desk, is_command, run_command
from demiurgic.chat.session import Session
from demiurgic.core.errors import UserError
from demiurgic.providers.base import Sampling
from scripted_models import answering


@pytest.fixture
def desk() -> Desk:
    def open_model(name: str) -> Answering:
        if name != "other":
            raise UserError(f"There is no {name}.")
        return answering("from the other", label="other", num_parameters=1_000_000)

    first = answering("one two three")
    return Desk(Session(first.provider), first, open_model)


def ask(desk: Desk, question: str) -> None:
    list(desk.session.answer(question))


def said(desk: Desk, text: str) -> str:
    return "\n".join(run_command(text, desk))


def test_help_names_every_command_and_the_keys(desk):
    shown = said(desk, "/help")
    assert all(f"/{name}" in shown for name in COMMANDS)
    assert "Ctrl-C stops an answer" in shown
    assert said(desk, "/help undo") == "/undo: Take back the last question and its answer."


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("/stts", 'no command "/stts". Did you mean "/stats"'),
        ("/", 'no command "/"'),
        ("/help udno", 'Did you mean "/undo"'),
        ("/undo twice", "takes nothing after it"),
        ("/undo", "nothing to take back"),
        ("/retry", "no question yet"),
        ("/save", "wants a name the first time"),
        ("/load", "/load wants FILE"),
        ("/load none.jsonl", "does not exist"),
        ("/save 'half", "No closing quotation"),
        ("/set temprature 1", 'Did you mean "temperature"'),
        ("/set temperature", "wants a name and a value"),
        ("/set temperature hot", 'from 0 to 10, found "hot"'),
        ("/set temperature -1", "from 0 to 10"),
        ("/set temperature nan", "from 0 to 10"),
        ("/set top_p 0", "above 0 to 1"),
        ("/set max_tokens 0", "whole number of at least 1"),
        ("/set seed 1.5", "whole number of at least 0"),
        ("/set seed ²", "whole number of at least 0"),
        ("/model nowhere", "There is no nowhere."),
    ],
)
def test_a_mistake_is_said_with_the_next_step(desk, text, says):
    with pytest.raises(UserError, match=r".") as caught:
        run_command(text, desk)
    assert says in str(caught.value)


def test_a_slash_at_the_beginning_makes_a_command_and_a_space_before_it_does_not():
    assert is_command("/help")
    assert not is_command(" /etc/passwd")


def test_settings_reach_the_next_question_and_can_go_back_to_the_default(desk):
    for text in ("/set temperature 0.7", "/set max_tokens 200", "/set top_p 0.9", "/set seed 5"):
        shown = said(desk, text)
    assert shown == "temperature 0.7, max_tokens 200, top_p 0.9, seed 5"
    said(desk, "/set temperature default")
    ask(desk, "Count.")
    assert desk.answering.provider.requests[-1].sampling == Sampling(max_tokens=200, top_p=0.9, seed=5)


def test_the_system_text_may_have_several_lines_and_goes_away_with_off(desk):
    said(desk, "/system Be brief.\nAnswer in verse.")
    assert desk.session.system == "Be brief.\nAnswer in verse."
    assert said(desk, "/system") == "System text, from the next answer on: Be brief.\nAnswer in verse."
    assert said(desk, "/system off") == "No system text."
    assert desk.session.messages == ()


def test_save_load_and_save_again(desk, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ask(desk, "Count.")
    assert said(desk, "/save 'my talk.jsonl'") == "1 answer saved in my talk.jsonl."
    ask(desk, "Again.")
    assert said(desk, "/save") == "2 answers saved in my talk.jsonl (replaced what was there)."
    said(desk, "/reset")
    assert desk.file is None
    ask(desk, "Something else.")
    shown = said(desk, "/load 'my talk.jsonl'")
    assert "2 answers loaded" in shown
    assert "take the place of the conversation before (1 answer)" in shown
    assert [turn.question for turn in desk.session.turns] == ["Count.", "Again."]
    assert desk.shown == desk.session.turns[-1]


def test_a_file_of_another_conversation_is_replaced_only_by_the_command_that_says_so(desk, tmp_path):
    ask(desk, "Count.")
    path = tmp_path / "talk.jsonl"
    said(desk, f"/save {path}")
    said(desk, "/reset")
    ask(desk, "Count again.")
    with pytest.raises(UserError, match="exists already"):
        run_command(f"/save {path}", desk)
    assert "(replaced what was there)" in said(desk, f"/save! {path}")


def test_a_damaged_file_leaves_the_conversation_as_it_was(desk, tmp_path):
    ask(desk, "Count.")
    (tmp_path / "bad.jsonl").write_text("{")
    with pytest.raises(UserError, match="is damaged"):
        run_command(f"/load {tmp_path / 'bad.jsonl'}", desk)
    assert len(desk.session.turns) == 1
    assert desk.file is None


def test_another_model_goes_on_with_the_conversation_and_the_first_is_closed(desk):
    ask(desk, "Count.")
    first = desk.answering.provider
    shown = said(desk, "/model other")
    assert "1.0 M parameters" in shown
    assert "/reset starts a new one" in shown
    assert first.closed
    ask(desk, "And now?")
    assert desk.session.turns[-1].answer == "from the other"
    assert len(desk.answering.provider.requests[0].messages) == 3
    assert desk.answering.provider.requests[0].sampling.max_tokens == 200


def test_a_model_that_cannot_be_opened_leaves_the_one_there_is(desk):
    with pytest.raises(UserError, match="no nowhere"):
        run_command("/model nowhere", desk)
    assert not desk.answering.provider.closed
    ask(desk, "Count.")


def test_settings_a_person_made_outlive_a_change_of_model(desk):
    said(desk, "/set temperature 0.9")
    said(desk, "/model other")
    assert desk.session.sampling == Sampling(temperature=0.9)


def test_stats_say_what_was_read_written_and_left(desk):
    ask(desk, "Count.")
    shown = said(desk, "/stats")
    assert "1 answer drawn" in shown
    assert "1 read, 3 written" in shown
    assert "4 of 512 tokens" in shown


def test_quit(desk):
    said(desk, "/quit")
    assert desk.done
