import pytest
import torch
from transformers import GenerationConfig

from demiurgic.core.errors import UserError
from demiurgic.models.generate import Completion, complete
from demiurgic.models.load import load_model
from demiurgic.models.tokenizer import load_tokenizer
from tiny_models import tiny_model

PROMPTS = [[5, 9, 7], [20, 21, 22, 23, 24, 25, 26], [100], [40, 41]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory):
    folder = tiny_model(tmp_path_factory.mktemp("generate") / "model", context=32)
    return load_model(folder, device="cpu"), load_tokenizer(folder)


def answers(made, prompts=PROMPTS, *, stop_ids=(2,), batch_size=4, **options) -> list[Completion]:
    model, tokenizer = made
    options = {"max_new_tokens": 8, **options}
    return complete(model, tokenizer, prompts, stop_ids=stop_ids, batch_size=batch_size, **options)


def greedy(model, prompt: list[int], num_tokens: int) -> list[int]:
    ids = list(prompt)
    with torch.no_grad():
        for _ in range(num_tokens):
            ids.append(int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
    return ids[len(prompt) :]


def test_a_batch_answers_as_each_prompt_alone(made):
    assert answers(made, batch_size=4) == answers(made, batch_size=1) == answers(made, batch_size=3)


def test_answers_are_the_likeliest_tokens_one_by_one(made):
    model, _ = made
    assert [answer.ids for answer in answers(made, stop_ids=[299])] == [greedy(model, p, 8) for p in PROMPTS]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_models_own_generation_config_changes_nothing(made, temperature):
    model, _ = made
    plain = answers(made, stop_ids=[299], temperature=temperature)
    habits = model.generation_config
    poison = {"repetition_penalty": 5.0, "top_p": 0.1, "no_repeat_ngram_size": 2, "min_new_tokens": 3, "num_beams": 2}
    model.generation_config = GenerationConfig(**poison)
    try:
        assert answers(made, stop_ids=[299], temperature=temperature) == plain
        assert model.generation_config.repetition_penalty == 5.0
    finally:
        model.generation_config = habits


def test_a_stop_id_finishes_the_answer_and_is_not_part_of_it(made):
    model, tokenizer = made
    expected = greedy(model, PROMPTS[0], 8)
    stop = expected[3]
    kept = expected[: expected.index(stop)]
    [answer] = answers(made, PROMPTS[:1], stop_ids=[stop])
    assert answer == Completion(kept, tokenizer.decode(kept), finished=True)


def test_an_answer_that_runs_out_of_tokens_is_not_finished(made):
    [answer] = answers(made, PROMPTS[:1], stop_ids=[299])
    assert not answer.finished
    assert len(answer.ids) == 8


def test_sampling_with_the_same_seed_gives_the_same_answers(made):
    first = answers(made, temperature=1.0, seed=3)
    assert first == answers(made, temperature=1.0, seed=3)
    assert first != answers(made, temperature=1.0, seed=4)


def test_sampling_leaves_the_random_state_as_it_was(made):
    before = torch.random.get_rng_state()
    answers(made, temperature=1.0, seed=3)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_prompt_that_does_not_fit_with_its_answer_is_refused(made):
    with pytest.raises(
        UserError, match="Prompt 2 has 25 tokens; with 8 new ones it is longer than the model's context of 32"
    ):
        answers(made, [[5], [9] * 25])


def test_an_empty_prompt_is_refused(made):
    with pytest.raises(UserError, match="Prompt 1 is empty"):
        answers(made, [[]])


def test_no_prompts_give_no_answers(made):
    assert answers(made, []) == []
