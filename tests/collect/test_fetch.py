"""Models and adapters brought in from a folder and from a hub, and what is made of them afterwards."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from demiurgic.collect.fetch import STAGE, FetchConfig
from demiurgic.core.artifacts import Adapter, Manifest, Model
from demiurgic.core.errors import UserError
from demiurgic.models.architectures import SUPPORTED
from demiurgic.models.lora import BaseFacts, read_base, write_base
from demiurgic.models.tokenizer import tokenizer_digest
from demiurgic.run.context import Context
from demiurgic.run.step import run_stage, step_key
from demiurgic.train.tokenize import STAGE as TOKENIZE
from demiurgic.train.train import STAGE as TRAIN
from loopback_hub import COMMIT, Hub, loopback_hub
from pretrained import FAMILIES, Family, pretrained
from tiny_adapters import change_config, peft_adapter, pretrained_base
from tiny_models import QUIET, conversation, tiny_dataset
from tiny_training import log_of, quiet

MIT = "Permission is hereby granted, free of charge, to any person obtaining a copy of this\nsoftware"
CARD = "---\nlicense: apache-2.0\n---\n# Tiny\n"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = pretrained(tmp_path_factory.mktemp("hub") / "tiny", "llama3")
    (folder / "README.md").write_text(CARD)
    (folder / "modeling.py").write_text("raise SystemExit")
    (folder / "consolidated.safetensors").write_bytes(b"the same weights in another layout")
    return folder


@pytest.fixture(scope="module")
def base(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fetched(tmp_path_factory.mktemp("store") / "base", folder=source)


@pytest.fixture
def hub(source: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with loopback_hub(source) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


def fetched(out: Path, **values: Any) -> Path:
    return run_stage(STAGE, values, out, context=QUIET)


def foreign_adapter(folder: Path, base: Path, **options: Any) -> Path:
    """An adapter as PEFT saves it, which says nothing of our digests."""
    part = change_config(peft_adapter(folder, base, **options), base_model_name_or_path="tiny/model")
    (part / "base.json").unlink()
    return part


def test_a_folder_comes_in_with_what_is_known_of_it(source: Path, base: Path):
    model = Model.open(base)
    assert sorted(path.name for path in model.path.iterdir()) == [
        "README.md",
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    facts, metrics = model.manifest.summary.facts, model.manifest.summary.metrics
    assert facts["architecture"] == "LlamaForCausalLM"
    assert (facts["license"], facts["dtype"], facts["revision"]) == ("apache-2.0", "fp32", None)
    assert facts["tokenizer_digest"] == tokenizer_digest(source)
    assert str(facts["dialect"]).startswith("template:")
    assert (metrics["vocab_size"].value, metrics["tokenizer_size"].value, metrics["context"].value) == (320, 320, 512)
    assert metrics["parameters"].value == 951_552


def test_the_key_of_a_folder_is_what_it_holds(source: Path, tmp_path: Path):
    config = FetchConfig(folder=Path("model"))
    keys = []
    for place, std in (("a", 0.15), ("b", 0.15), ("c", 0.2)):
        pretrained(tmp_path / place / "model", "llama3", std=std)
        keys.append(step_key(STAGE, config, seed=None, base=tmp_path / place))
    (tmp_path / "a" / "model" / "notes.txt").write_text("not brought in")
    assert keys[0] == keys[1] != keys[2]
    assert step_key(STAGE, config, seed=None, base=tmp_path / "a") == keys[0]


def test_a_commit_of_the_hub_comes_in(source: Path, base: Path, hub: Hub, tmp_path: Path):
    model = Model.open(fetched(tmp_path / "model", hub="tiny/model", revision=COMMIT))
    assert (model.path / "model.safetensors").read_bytes() == (source / "model.safetensors").read_bytes()
    assert model.digest == Model.open(base).digest
    assert (model.manifest.summary.facts["source"], model.manifest.summary.facts["revision"]) == ("tiny/model", COMMIT)
    assert not hub.asked_for("modeling.py")
    assert not hub.asked_for("consolidated.safetensors")


def test_an_interrupted_fetch_goes_on(source: Path, hub: Hub, tmp_path: Path):
    hub.replaced["tokenizer.json"] = b"{" + b" " * ((source / "tokenizer.json").stat().st_size - 1)
    with pytest.raises(UserError, match=r"tokenizer.json is not what the hub lists"):
        fetched(tmp_path / "model", hub="tiny/model", revision=COMMIT)
    hub.replaced.clear()
    step = fetched(tmp_path / "model", hub="tiny/model", revision=COMMIT)
    assert Manifest.read(step).took["resumed"]
    assert len(hub.asked_for("model.safetensors")) == 1


def test_a_model_that_is_not_supported_is_refused_before_its_weights_come(tmp_path: Path, monkeypatch):
    folder = pretrained(tmp_path / "hub", "llama3")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["MambaForCausalLM"]}))
    with loopback_hub(folder) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        with pytest.raises(UserError, match=f"MambaForCausalLM; supported are {', '.join(SUPPORTED)}"):
            fetched(tmp_path / "model", hub="tiny/model", revision=COMMIT)
        assert not hub.asked_for("model.safetensors")


def change(folder: Path, name: str, **changes: Any) -> None:
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def with_other_roles(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content }}{% endfor %}")


def with_two_words_in_one_place(folder: Path) -> None:
    change(folder, "tokenizer.json", pre_tokenizer={"type": "Metaspace", "replacement": "_", "prepend_scheme": "first"})


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (with_other_roles, "ends in no special token"),
        (with_two_words_in_one_place, "not a byte-level BPE"),
        (lambda f: change(f, "config.json", vocab_size=300), "has 320 ids and the model embeddings for 300"),
        (lambda f: (f / "tokenizer.json").unlink(), " holds no tokenizer.json.*fetch that folder"),
        (lambda f: change(f, "generation_config.json", eos_token_id=[999_999]), "999999 as eos_token_id"),
    ],
)
def test_a_description_that_cannot_be_used_is_refused_before_the_weights_come(
    tmp_path: Path, monkeypatch, spoil, reason
):
    folder = pretrained(tmp_path / "hub", "llama3")
    spoil(folder)
    with loopback_hub(folder) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        with pytest.raises(UserError, match=rf"tiny/model.*{reason}"):
            fetched(tmp_path / "step", hub="tiny/model", revision=COMMIT)
    assert not [path for _, path, _, _ in hub.asked if ".safetensors" in path]
    with pytest.raises(UserError):
        fetched(tmp_path / "copy", folder=folder)
    assert not list(tmp_path.glob("copy-*/model/*.safetensors"))


def test_what_somebody_put_beside_a_download_is_not_published(source: Path, hub: Hub, tmp_path: Path):
    hub.replaced["model.safetensors"] = b"cut"
    with pytest.raises(UserError):
        fetched(tmp_path / "model", hub="tiny/model", revision=COMMIT)
    (partial,) = tmp_path.glob("model-*.partial")
    (partial / "model" / "special_tokens_map.json").write_text('{"eos_token": "</s>"}')
    hub.replaced.clear()
    model = Model.open(fetched(tmp_path / "model", hub="tiny/model", revision=COMMIT))
    assert not (model.path / "special_tokens_map.json").exists()
    assert not (model.path / ".cache").exists()


def test_another_hub_is_another_origin(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    config = FetchConfig(hub="tiny/model", revision=COMMIT)
    keys = []
    for endpoint in (None, "https://huggingface.co/", "https://mirror.example", "https://ada:secret@mirror.example"):
        monkeypatch.delenv("HF_ENDPOINT", raising=False)
        if endpoint:
            monkeypatch.setenv("HF_ENDPOINT", endpoint)
        keys.append(step_key(STAGE, config, seed=None, base=tmp_path))
    assert keys[0] == keys[1] != keys[2] == keys[3]
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    step = fetched(tmp_path / "model", hub="tiny/model", revision=COMMIT)
    assert Manifest.read(step).summary.facts["hub"] == hub.url


def test_a_folder_that_changes_between_key_and_copy_is_refused(tmp_path: Path):
    folder = pretrained(tmp_path / "source", "llama3")
    config = FetchConfig(folder=folder)
    step_key(STAGE, config, seed=None, base=tmp_path)
    change(folder, "generation_config.json", max_length=7)
    with pytest.raises(UserError, match=r"source was changed while it was brought in \(generation_config.json\)"):
        STAGE.run(config, tmp_path / "out", Context(base=tmp_path, console=QUIET.console))


def test_a_branch_is_refused_with_the_commit_to_write(hub: Hub, tmp_path: Path):
    with pytest.raises(UserError, match=f"'main' can move.*It is now: revision: {COMMIT}"):
        fetched(tmp_path / "model", hub="tiny/model", revision="main")
    with pytest.raises(UserError, match=f"no revision is given.*It is now: revision: {COMMIT}"):
        fetched(tmp_path / "model", hub="tiny/model")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, "wants one of hub and folder"),
        ({"hub": "a/b", "folder": "c"}, "not both"),
        ({"folder": "c", "revision": COMMIT}, "revision goes with hub"),
        ({"folder": "c", "kind": "adapter", "precision": "nf4"}, "precision goes with kind: adapter and a base"),
        ({"folder": "c", "kind": "gguf"}, "Input should be 'model' or 'adapter'"),
    ],
)
def test_options_without_sense_are_refused(values: dict[str, Any], reason: str):
    with pytest.raises(ValidationError, match=reason):
        FetchConfig.model_validate(values)


def test_a_base_is_for_adapters(base: Path):
    with pytest.raises(ValidationError, match="base goes with kind: adapter"):
        FetchConfig.model_validate({"folder": "c", "base": str(base)})


@pytest.mark.parametrize(
    ("card", "license", "named"),
    [
        (CARD, None, "apache-2.0"),
        ("---\nlicense: other\nlicense_name: llama3\n---\n", None, "llama3"),
        ("# No front matter", MIT, "MIT"),
        ("---\nlicense: [broken\n---\n", None, None),
        ("---\nlicense: mit\nrelease_date: 2024-02-30\n---\n", MIT, "MIT"),
        ("---\nlicense: mit\ngated: !!bool maybe\n---\n", None, None),
        ("---\nlicense: [mit, apache-2.0]\n---\n", None, "mit, apache-2.0"),
        (None, None, None),
    ],
)  # fmt: skip
def test_the_licence_is_that_of_the_card_or_the_text(tmp_path: Path, card, license, named):
    folder = pretrained(tmp_path / "model", "qwen2")
    for name, text in (("README.md", card), ("LICENSE", license)):
        if text is not None:
            (folder / name).write_text(text)
    assert Manifest.read(fetched(tmp_path / "step", folder=folder)).summary.facts["license"] == named


def test_the_hubs_name_of_a_base_is_kept_with_its_adapter_and_enters_the_key(base: Path, hub: Hub, tmp_path: Path):
    named = fetched(tmp_path / "named", hub="tiny/model", revision=COMMIT)
    adapter = foreign_adapter(tmp_path / "made", base / "model")
    assert Model.open(named).digest == Model.open(base).digest
    steps = [fetched(tmp_path / f"of-{b.name}", folder=adapter, kind="adapter", base=b) for b in (named, base)]
    assert [read_base(step / "adapter").source for step in steps] == ["tiny/model", None]
    assert len({Manifest.read(step).key for step in steps}) == 2


def test_a_foreign_adapter_that_fits_is_brought_in_as_not_proven(base: Path, tmp_path: Path):
    adapter = foreign_adapter(tmp_path / "made", base / "model")
    step = fetched(tmp_path / "step", folder=adapter, kind="adapter", base=base)
    part = Adapter.open(step)
    assert read_base(part.path) == BaseFacts(Model.open(base).digest, "fp32", proven=False)
    facts = part.manifest.summary.facts
    assert (facts["rank"], facts["modules"], facts["trained_on"], facts["base_source"]) == (4, 14, "tiny/model", "base")
    assert facts["base_proven"] is False


def test_what_comes_in_is_counted_whole(base: Path, tmp_path: Path):
    adapter = foreign_adapter(tmp_path / "made", base / "model")
    step = fetched(tmp_path / "step", folder=adapter, kind="adapter", base=base)
    stored = sum(path.stat().st_size for path in (step / "adapter").iterdir())
    assert Manifest.read(step).summary.metrics["file_bytes"].value == stored


@pytest.mark.parametrize("named", ["tiny/model-bnb-4bit", "tiny/model-4bit", "tiny/Model-NF4"])
def test_an_adapter_for_a_base_in_four_bits_must_say_so(base: Path, tmp_path: Path, named: str):
    adapter = change_config(foreign_adapter(tmp_path / "made", base / "model"), base_model_name_or_path=named)
    values = {"folder": adapter, "kind": "adapter", "base": base}
    with pytest.raises(UserError, match=rf"{named} as its base, one in 4 bits.*precision: nf4"):
        fetched(tmp_path / "step", **values)
    step = fetched(tmp_path / "step", **values, precision="nf4")
    assert read_base(step / "adapter").precision == "nf4"
    assert Manifest.read(step).summary.facts["base_precision"] == "nf4"


def test_a_precision_that_an_adapter_of_ours_contradicts_is_refused(base: Path, tmp_path: Path):
    adapter = foreign_adapter(tmp_path / "made", base / "model")
    write_base(adapter, BaseFacts(Model.open(base).digest, "fp32"))
    with pytest.raises(UserError, match="on a base in fp32, as its base.json says; precision is nf4"):
        fetched(tmp_path / "step", folder=adapter, kind="adapter", base=base, precision="nf4")


def test_an_adapter_may_come_without_a_base(base: Path, tmp_path: Path):
    adapter = foreign_adapter(tmp_path / "made", base / "model")
    part = Adapter.open(fetched(tmp_path / "step", folder=adapter, kind="adapter"))
    assert not (part.path / "base.json").exists()
    assert part.manifest.summary.facts["base_digest"] is None


def test_an_adapter_for_another_base_is_refused_by_its_shapes(base: Path, tmp_path: Path):
    other = pretrained_base(tmp_path / "other", "llama3", intermediate_size=128)
    adapter = foreign_adapter(tmp_path / "made", other, target_modules=["up_proj"])
    with pytest.raises(
        UserError, match=r"for another base than base.*\[128, 256\], which is \[256, 256\] there.*tiny/model"
    ):
        fetched(tmp_path / "step", folder=adapter, kind="adapter", base=base)


def test_an_adapter_for_a_deeper_base_is_refused(base: Path, tmp_path: Path):
    other = pretrained_base(tmp_path / "other", "llama3", num_hidden_layers=3)
    adapter = foreign_adapter(tmp_path / "made", other)
    with pytest.raises(UserError, match="updates model.layers.2.mlp.down_proj .* which is not there"):
        fetched(tmp_path / "step", folder=adapter, kind="adapter", base=base)


def test_our_own_adapter_is_known_by_the_digest_of_its_base(base: Path, tmp_path: Path):
    adapter = foreign_adapter(tmp_path / "made", base / "model")
    digest = Model.open(base).digest
    write_base(adapter, BaseFacts(digest, "fp32", source="start"))
    assert read_base(fetched(tmp_path / "step", folder=adapter, kind="adapter", base=base) / "adapter").proven
    write_base(adapter, BaseFacts("0" * 64, "fp32", source="start"))
    with pytest.raises(UserError, match=f"trained on the model {'0' * 16}.* base is base, {digest[:16]}"):
        fetched(tmp_path / "again", folder=adapter, kind="adapter", base=base)


def test_model_and_adapter_are_not_taken_for_each_other(source: Path, base: Path, tmp_path: Path):
    with pytest.raises(UserError, match="is a model, not an adapter. Leave kind away"):
        fetched(tmp_path / "step", folder=source, kind="adapter")
    with pytest.raises(UserError, match="is an adapter, not a model. Set kind: adapter"):
        fetched(tmp_path / "step", folder=foreign_adapter(tmp_path / "made", base / "model"))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_fetched_model_trains_on_rows_in_its_own_tokens(family: Family, tmp_path: Path):
    model = fetched(tmp_path / "model", folder=pretrained(tmp_path / "source", family, vocab_size=384))
    rows = [conversation(f"write number {n}", f"return {n}", id=f"row:{n}") for n in range(12)]
    data = tiny_dataset(tmp_path / "raw", rows)
    values = {"data": data, "tokenizer": model, "length": 64, "packing": "fit", "loss_on": "answers"}
    tokens = run_stage(TOKENIZE, values, tmp_path / "tokens", context=QUIET)
    options = {"model": model, "data": tokens, "steps": 4, "batch": 4, "precision": "fp32", "learning_rate": 1e-3}
    student = run_stage(TRAIN, options, tmp_path / "student", context=quiet())
    losses = [line["total"] for line in log_of(student) if "total" in line]
    assert losses[-1] < losses[0]
    dialects = {Manifest.read(step).summary.facts["dialect"] for step in (model, tokens)}
    assert len(dialects) == 1
    assert Model.open(student).digest != Model.open(model).digest
