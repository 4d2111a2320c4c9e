import typing
from dataclasses import replace
from pathlib import Path

import pytest

from demiurgic.chat.about import LEARNS_FROM, facts_of, origin_of, starting_sampling, suggestions_of, warning_of
from demiurgic.core.artifacts import Artifact, Model
from demiurgic.providers.base import Sampling
from demiurgic.run.store import Store
from demiurgic.stages import STAGES
from scripted_models import answering, model_of
from tiny_models import tiny_model
from tiny_training import artifact


@pytest.fixture(scope="module")
def store(store_folder: Path) -> Store:
    return Store(store_folder)


@pytest.fixture(scope="module")
def student(store: Store) -> Model:
    return model_of(store.named("student"))


def test_the_origin_of_a_student_is_read_from_its_lineage(store, student):
    origin = origin_of(student.manifest)
    assert set(origin.sources) == {"python_stdlib"}
    assert set(origin.kinds) == {"complete", "write", "explain"}
    assert origin.teachers == (f"teacher ({store.named('teacher').name.rpartition('-')[2][:8]})",)
    assert origin.from_blank


def test_what_only_the_teacher_read_is_not_what_the_student_learned_from(student):
    lineage = {**student.manifest.lineage}
    key, teacher = next((key, step) for key, step in lineage.items() if step["step"] == "teacher")
    web = {"stage": "collect", "step": "web", "inputs": {}, "summary": {"facts": {"sources": {"web": 9}}}}
    lineage |= {"web-key": web, key: {**teacher, "inputs": {"data": {"step": "web", "key": "web-key"}}}}
    changed = type(student.manifest)(
        **{name: getattr(student.manifest, name) for name in student.manifest.__slots__} | {"lineage": lineage}
    )
    assert set(origin_of(changed).sources) == {"python_stdlib"}


def test_the_teacher_of_a_student_of_a_cache_is_the_model_whose_word_was_kept(student):
    """The cache is how it was taught, not by whom."""
    taught = {"step": "word", "key": "word-key", "part": "samples", "digest": "d"}
    word = {"stage": "cache_logits", "step": "word", "inputs": {"teacher": {"step": "big", "key": "0123456789ab"}}}
    fields = {name: getattr(student.manifest, name) for name in student.manifest.__slots__}
    inputs = {**student.manifest.inputs, "teacher": taught}
    changed = type(student.manifest)(**fields | {"inputs": inputs, "lineage": {**fields["lineage"], "word-key": word}})
    assert "big (01234567)" in origin_of(changed).teachers
    assert not any("word" in teacher for teacher in origin_of(changed).teachers)


def test_only_what_goes_into_a_models_weights_is_where_it_learned(student):
    """An export learned what its model did: not from the rows it is checked on, nor by a teacher it is timed after."""
    steps = {
        **_step("talks", "collect", sources={"talks": 5}),
        **_step("checks", "collect", sources={"checks": 9}),
        **_step("words", "tokenize", data="talks"),
        **_step("probes", "tokenize", data="checks"),
        **_step("big", "train", model="blank", data="words"),
        **_step("student", "train", model="blank", data="words", teacher="big"),
        **_step("blank", "create"),
        **_step("control", "train", model="blank", data="words", match_seconds="student", held_out="probes"),
        **_step("merged", "merge", base="control", data="probes"),
    }
    inputs = {"model": {"step": "merged", "key": "merged"}, "data": {"step": "probes", "key": "probes"}}
    origin = origin_of(replace(student.manifest, stage="export", inputs=inputs, lineage=steps))
    assert origin.sources == {"talks": 5}
    assert origin.teachers == ()
    assert origin.from_blank


def _step(name: str, stage: str, *, sources: dict[str, int] | None = None, **reads: str) -> dict[str, object]:
    inputs = {field: {"step": step, "key": step} for field, step in reads.items()}
    facts = {"sources": sources} if sources else {}
    return {name: {"step": name, "stage": stage, "inputs": inputs, "summary": {"facts": facts}}}


NOT_LEARNED_FROM = {
    "audit": {"data"},
    "cache_logits": {"data", "teacher", "tokenizer"},
    "create": {"tokenizer"},
    "evaluate": {"data", "models"},
    "export": {"data"},
    "merge": {"data"},
    "tokenize": {"tokenizer"},
    "tokenizer": {"text"},
    "train": {"held_out", "match_seconds", "teacher"},
}


def test_of_every_field_of_every_stage_it_is_decided_whether_a_model_learns_from_it():
    for name, stage in STAGES.items():
        fields = {field for field, info in stage.config.model_fields.items() if _names_an_artifact(info.annotation)}
        assert fields == {*LEARNS_FROM.get(name, ()), *NOT_LEARNED_FROM.get(name, ())}, name


def _names_an_artifact(annotation: object) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, Artifact):
        return True
    return any(_names_an_artifact(inner) for inner in typing.get_args(annotation))


def test_the_first_screen_says_size_context_engine_and_origin(student):
    facts = facts_of(answering(label="student", artifact=student, num_parameters=2_163_968, context_length=2048))
    assert facts[0] == "2.2 M parameters, context 2,048 tokens, runs in scripted"
    assert facts[1] == f"made here by the step student (train, key {student.manifest.key})"
    assert facts[2].startswith("learned from python_stdlib (")
    assert facts[3].startswith("taught by teacher (")


def test_of_a_file_from_elsewhere_nothing_is_claimed():
    facts = facts_of(answering(num_parameters=7_241_732_096))
    assert facts == [
        "7.2 B parameters, context 512 tokens, runs in scripted",
        "from elsewhere: nothing is proven about this file",
    ]


def test_a_small_student_of_the_standard_library_is_called_what_it_is(student):
    small = answering(artifact=student, num_parameters=2_163_968)
    assert warning_of(small) == (
        "This small model writes Python-shaped text; it does not know facts and cannot hold a conversation."
    )
    assert [suggestion.kind for suggestion in suggestions_of(small)] == ["complete", "complete", "write"]


def test_a_larger_model_taught_here_on_one_source_is_a_completer_too(student):
    assert "cannot hold a conversation" in warning_of(answering(artifact=student, num_parameters=100_000_000))


def test_a_small_file_from_elsewhere_is_called_a_completer_and_offers_nothing():
    small = answering(num_parameters=4_000_000)
    assert "small text completer" in warning_of(small)
    assert suggestions_of(small) == ()


def test_a_large_model_is_warned_of_nothing():
    assert warning_of(answering()) is None
    assert starting_sampling(answering()) == Sampling()


def test_a_completer_starts_with_short_answers_drawn_at_a_low_temperature(student):
    small = answering(artifact=student, num_parameters=2_163_968)
    assert starting_sampling(small) == Sampling(max_tokens=200, temperature=0.5)


def test_a_model_that_missed_its_gates_is_said_to_be_rejected():
    said = warning_of(replace(answering(), rejected="loss = 2, wanted value <= 1: missed"))
    assert said == "It was rejected: loss = 2, wanted value <= 1: missed."


def test_a_model_that_no_collected_rows_are_known_of_offers_nothing(tmp_path: Path):
    folder = tiny_model(tmp_path / "step" / "model")
    artifact(folder, kind="model")
    assert suggestions_of(answering(artifact=Model.open(folder), num_parameters=1000)) == ()
