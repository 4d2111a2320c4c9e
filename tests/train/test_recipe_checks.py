"""What a recipe of a training may not say: each with its text, before anything is opened."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from demiurgic.core.artifacts import Artifact, Dataset, Logits, Manifest, Model, Tokenizer, Tokens
from demiurgic.run.stage import Reference, keyed
from demiurgic.train.aims import Aims
from demiurgic.train.cache_logits import CacheLogitsConfig
from demiurgic.train.config import TrainConfig
from demiurgic.train.curriculum import Curriculum
from demiurgic.train.losses import LOSSES
from demiurgic.train.on_policy import OnPolicy
from demiurgic.train.schedule_checks import idle_step
from demiurgic.train.tokenize import TokenizeConfig
from tiny_training import artifact


def cached(signal: str, *temperatures: float) -> Reference:
    """A part of a `cache_logits` step that was not made yet."""
    keep: dict[str, Any] = {"use": signal, **({"temperatures": temperatures} if temperatures else {})}
    values = {"teacher": "teacher", "data": "rows", "keep": keep}
    return Reference("cache", signal, Logits, CacheLogitsConfig.model_validate(values, context={"resolve": resolve}))


KINDS = {"student": Model, "teacher": Model, "rows": Tokens, "checks": Tokens}
TEACHERS: dict[str, Any] = {
    "live": "teacher",
    "served": {"use": "served", "provider": {"use": "openai", "base_url": "http://127.0.0.1:9/v1", "model": "teacher"}},
}


def resolve(text: str, kinds: Any) -> Reference:
    del kinds
    step, _, part = text.partition(":")
    if step == "cache":
        signal, *temperatures = part.split(",")
        return cached(signal, *map(float, temperatures))
    return Reference(step, step, KINDS[step])


def config(*losses: str | Mapping[str, Any], teacher: Any = "teacher", **more: Any) -> TrainConfig:
    given = {"model": "student", "data": "rows", "losses": list(losses), "teacher": teacher}
    given |= {} if {"steps", "epochs", "match_seconds"} & set(more) else {"steps": 100}
    return TrainConfig.model_validate({**given, **more}, context={"resolve": resolve})


def refusal(*losses: str | Mapping[str, Any], **more: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        config(*losses, **more)
    return str(caught.value.errors()[0]["msg"])


KL = {"use": "forward_kl"}
CE = "cross_entropy"


# loss by signal


@pytest.mark.parametrize("teacher", ["teacher", "cache:hidden", "cache:top_k", "cache:samples", TEACHERS["served"]])
def test_forward_kl_and_cross_entropy_go_with_every_teacher(teacher: Any):
    config(KL, CE, teacher=teacher)


@pytest.mark.parametrize("teacher", ["cache:top_k", "cache:samples", TEACHERS["served"]])
def test_a_loss_on_hidden_states_needs_a_teacher_that_has_some(teacher: Any):
    said = refusal("hidden_mse", teacher=teacher)
    assert "hidden_mse reads hidden states" in said
    assert "Losses for it: " in said
    assert "forward_kl" in said
    assert said.endswith("Teachers for hidden_mse: a live teacher, cached hidden states")


def test_the_reverse_divergence_cannot_be_had_from_samples():
    said = refusal("reverse_kl", teacher="cache:samples")
    assert "reverse_kl reads more of each prediction than words drawn from it" in said
    assert "Losses for it: forward_kl." in said
    assert "Teachers for reverse_kl: a live teacher, cached hidden states, cached top-k words, a served teacher" in said


def test_a_cache_of_hidden_states_holds_the_final_layer():
    config({"use": "hidden_mse", "student_layer": 1}, teacher="cache:hidden")
    said = refusal({"use": "hidden_mse", "teacher_layer": 2}, teacher="cache:hidden")
    assert "reads layer 2 of the teacher" in said
    assert "set teacher_layer: -1" in said
    config({"use": "hidden_mse", "teacher_layer": 2})


# temperatures


@pytest.mark.parametrize("signal", ["top_k", "samples"])
def test_a_temperature_must_be_one_that_the_cache_was_made_for(signal: str):
    config({**KL, "temperature": 2}, teacher=f"cache:{signal},1,2")
    said = refusal({**KL, "temperature": 4}, teacher=f"cache:{signal},1,2")
    assert "forward_kl has temperature 4" in said
    assert "can be asked at 1, 2 alone" in said


def test_a_cache_that_says_nothing_of_its_temperatures_is_asked_when_it_is_opened():
    TrainConfig.model_validate(
        {"model": "student", "data": "rows", "losses": [{**KL, "temperature": 4}], "teacher": "anything", "steps": 9},
        context={
            "resolve": lambda text, kinds: (
                Reference("cache", "top_k", Logits) if text == "anything" else resolve(text, kinds)
            )
        },
    )


def test_a_cache_on_disk_is_asked_for_its_temperatures(tmp_path: Path):
    part = tmp_path / "cache" / "top_k"
    part.mkdir(parents=True)
    (part / "cache.json").write_text("{}")
    artifact(part, kind="logits")
    made = Manifest.read(part.parent)
    replace(made, config={"keep": {"use": "top_k", "temperatures": [1.0]}}).write(part.parent)
    cache = Logits.open(part)
    assert "can be asked at 1 alone" in refusal({**KL, "temperature": 2}, teacher=cache)
    assert isinstance(config(KL, teacher=cache).teacher, Artifact)


def test_a_temperature_that_moves_needs_a_teacher_who_says_all():
    moving = {**KL, "temperature": {"from": 1, "to": 2}}
    config(moving)
    config(moving, teacher="cache:hidden")
    assert "moves from step to step" in refusal(moving, teacher="cache:top_k,1,2")
    by_phase = {**KL, "temperature": {"phases": {"a": 1, "b": 2}}}
    phases = [{"name": "a", "share": 0.5}, {"name": "b", "share": 0.5}]
    config(by_phase, teacher="cache:top_k,1,2", phases=phases)


def test_a_served_teacher_is_asked_at_temperature_1():
    assert "a served teacher can be asked at 1 alone" in refusal({**KL, "temperature": 2}, teacher=TEACHERS["served"])


# tokens of a cache


def tokens(step: str, **values: Any) -> Reference:
    """Of a `tokenize` step that was not made yet."""
    given = {"data": "raw", "tokenizer": "words", "length": 64, **values}
    resolved = {"raw": Reference("raw", "rows", Dataset), "words": Reference("words", "words", Tokenizer)}
    config = TokenizeConfig.model_validate(given, context={"resolve": lambda text, kinds: resolved[text]})
    return Reference(step, "tokens", Tokens, config)


def trained_on(data: Reference, *, cached: Reference) -> None:
    def cache_of(text: str, kinds: Any) -> Reference:
        return cached if text == "rows" else resolve(text, kinds)

    values = {"teacher": "teacher", "data": "rows", "keep": {"use": "top_k"}}
    cache = CacheLogitsConfig.model_validate(values, context={"resolve": cache_of})
    known = {"rows": data, "cache": Reference("cache", "top_k", Logits, cache)}
    given = {"model": "student", "data": "rows", "losses": [KL], "teacher": "cache", "steps": 9}
    TrainConfig.model_validate(given, context={"resolve": lambda text, kinds: known.get(text) or resolve(text, kinds)})


def test_a_cache_of_other_tokens_is_refused_before_it_is_paid_for():
    with pytest.raises(ValidationError, match=r"cache.top_k is made of the tokens long.tokens, and data is short.to"):
        trained_on(tokens("short"), cached=tokens("long", length=128))


def test_two_names_of_the_same_tokens_are_the_same_tokens():
    trained_on(tokens("rows"), cached=tokens("rows"))
    trained_on(tokens("rows"), cached=tokens("again"))
    trained_on(Reference("rows", "tokens", Tokens), cached=Reference("rows", "tokens", Tokens))


# words of teachers


def test_a_recorded_teacher_goes_through_a_cache():
    said = refusal(KL, teacher={"use": "recorded", "logprobs": "answers.logprobs"})
    assert "make a step {use: cache_logits, data: …, tokenizer: …, keep: {use: top_k, k: 20}, teacher: {use:" in said
    assert refusal(KL, teacher={"use": "serve"}).startswith("Input should be 'served'")


@pytest.mark.parametrize("teacher", [{"use": "live"}, {"provider": "openai"}])
def test_the_forms_of_a_captured_teacher_are_named(teacher: Any):
    with pytest.raises(ValidationError, match="the name of a step that makes a model, {use: served, provider: …}, or"):
        CacheLogitsConfig.model_validate({"teacher": teacher, "data": "rows"}, context={"resolve": resolve})


# on-policy


def test_a_cache_cannot_answer_for_text_that_the_student_writes():
    for signal in ("hidden", "top_k", "samples"):
        assert "which no cache holds" in refusal(KL, teacher=f"cache:{signal}", on_policy={})
    config(KL, on_policy={})


def test_on_policy_needs_a_loss_that_asks_the_teacher():
    assert "no loss asks a teacher of it" in refusal(CE, teacher=None, on_policy={})
    assert "no loss asks a teacher of it" in refusal({**KL, "on": "data"}, CE, on_policy={})


def test_a_loss_that_waits_for_the_students_text_needs_some():
    assert "it writes none; set on_policy" in refusal({**KL, "on": "student"}, CE)
    assert "no label" in refusal(KL, {"use": CE, "on": "student"}, on_policy={})


def test_a_loss_on_the_students_text_alone_leaves_steps_on_data_without_a_loss():
    said = refusal({**KL, "on": "student"}, on_policy={"share": 0.5})
    assert "at step 1 every loss that is asked of the data has weight 0" in said
    config({**KL, "on": "student"}, on_policy={"share": 1})
    config({**KL, "on": "student"}, CE, on_policy={"share": 0.5})


# weights, schedules and phases


def test_a_step_without_any_weight_is_refused_with_its_number():
    fading = {**KL, "weight": {"from": 1, "to": 0, "end": 0.5}}
    said = refusal(fading, {"use": CE, "weight": {"from": 0, "to": 1, "start": 0.6}})
    assert "at step 51 every loss" in said
    config(fading, {"use": CE, "weight": {"from": 0, "to": 1, "start": 0.4}})
    assert "every loss has weight 0" in refusal({**KL, "weight": {"from": 0, "to": 0}})


def test_a_phase_that_is_all_on_the_students_text_needs_no_loss_on_data():
    phases = [{"name": "wrote", "share": 0.5}, {"name": "read", "share": 0.5}]
    by_phase = [
        {**KL, "on": "student", "weight": {"phases": {"wrote": 1, "read": 0}}},
        {"use": CE, "weight": {"phases": {"wrote": 0, "read": 1}}},
    ]
    config(*by_phase, on_policy={"share": {"phases": {"wrote": 1, "read": 0}}}, phases=phases)
    said = refusal(*by_phase, on_policy={"share": {"phases": {"wrote": 1, "read": 0.1}}}, phases=phases)
    assert "at step 51 every loss that is asked of the student's own text" in said


ends = st.sampled_from([0.0, 0.0, 0.5, 1.0])
parts = st.lists(st.floats(0, 1), min_size=2, max_size=2).map(sorted).filter(lambda w: w[1] - w[0] > 1e-3)
ramps = st.builds(lambda a, b, w: {"from": a, "to": b, "start": w[0], "end": w[1]}, ends, ends, parts)


@given(st.lists(st.tuples(ramps, st.sampled_from(["both", "data", "student"])), min_size=1, max_size=3), ramps)
@settings(max_examples=150, deadline=None)
def test_the_first_step_without_a_loss_is_found_without_looking_at_all(losses: list[Any], share: dict[str, float]):
    num_steps = 23
    aims = Aims(
        [LOSSES.choose({**KL, "weight": weight, "on": on}) for weight, on in losses],
        None,
        OnPolicy.model_validate({"share": share}),
        (),
    )
    curriculum = Curriculum(aims.losses)
    for source in ("data", "student"):
        idle = [
            step
            for step in range(num_steps)
            if (curriculum.number(aims.share, step, num_steps=num_steps) not in ({1} if source == "data" else {0}))
            and not any(c.weight for c in curriculum.components(step, num_steps=num_steps, source=source))
        ]
        assert idle_step(aims, source, num_steps=num_steps) == (idle[0] if idle else None)


def test_phases_and_the_numbers_that_name_them_must_fit():
    phases = [{"name": "warm", "share": 0.2}, {"name": "mix", "share": 0.8}]
    config({**KL, "weight": {"phases": {"warm": 0, "mix": 1}}}, CE, phases=phases)
    assert "the weight of forward_kl has no value for the phase mix" in refusal(
        {**KL, "weight": {"phases": {"warm": 0}}}, CE, phases=phases
    )
    assert "the temperature of forward_kl has a value for the phases a" in refusal(
        {**KL, "temperature": {"phases": {"a": 2}}}
    )
    assert "on_policy.share has no value for the phase warm" in refusal(
        KL, on_policy={"share": {"phases": {"mix": 0.5}}}, phases=phases
    )
    assert "sum to 0.9" in refusal(CE, teacher=None, phases=[{"name": "a", "share": 0.9}])
    assert "phase warm is 0.2 of 2 steps" in refusal(CE, teacher=None, phases=phases, steps=2)
    config(CE, teacher=None, phases=phases, epochs=2)


def test_a_schedule_needs_a_number_of_steps():
    measured = {"match_seconds": "teacher", "warmup_steps": 30}
    assert "the weight of forward_kl depends on the number of steps" in refusal(
        {**KL, "weight": {"from": 1, "to": 0.5}}, **measured
    )
    assert "phases depends on" in refusal(KL, phases=[{"name": "a", "share": 1}], **measured)
    assert "on_policy.share depends on" in refusal(KL, on_policy={"share": {"from": 0, "to": 1}}, **measured)
    config({**KL, "weight": {"balance": 0.3}}, CE, **measured)


def test_balanced_weights_leave_a_reference_and_a_rest():
    balanced = {**KL, "weight": {"balance": 0.6}}
    config(balanced, CE)
    assert "every weight is balanced (forward_kl)" in refusal(balanced)
    assert "sum to 1.2" in refusal(balanced, {"use": "reverse_kl", "weight": {"balance": 0.6}}, CE)
    assert "on the student's text every weight is balanced" in refusal(balanced, CE, on_policy={})


def test_patience_counts_looks_at_held_out():
    assert "set held_out" in refusal(CE, teacher=None, patience=3)
    config(CE, teacher=None, patience=3, held_out="checks")


def test_a_share_of_the_tokens_goes_with_every_loss():
    for name in ("forward_kl", "cross_entropy", "reverse_kl"):
        config({"use": name, "top_entropy": 0.2}, KL)
    config({**KL, "top_entropy": 1e-6})
    assert "greater than or equal to 0.000001" in refusal({**KL, "top_entropy": 1e-30})


def test_a_schedule_enters_the_key_as_it_is_written():
    schedule = {"from": 1.0, "to": 0.5, "shape": "cosine", "start": 0.0, "end": 1.0}
    found: Any = keyed(config({**KL, "weight": schedule}), str)
    assert found["losses"][0]["weight"] == schedule
    assert config(*[{k: v for k, v in loss.items() if k != "version"} for loss in found["losses"]]).losses == (
        config({**KL, "weight": schedule}).losses
    )
