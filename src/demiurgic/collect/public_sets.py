"""Public sets that many models were trained on: where they lie, how large they are, and what to know before use.

No commit stands here: which one a model was trained on is for the recipe to say. Rows and licences are as the sets'
cards on the hub give them; a card may change, and its word is not a lawyer's.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from demiurgic.core.metric import JSON


@dataclass(frozen=True)
class PublicSet:
    """A set of the hub. `format` reads its files; `caveats` is what a person should know before using it."""

    id: str
    num_rows: int
    license: str
    format: str
    line: str
    caveats: str
    files: tuple[str, ...] = ()
    """Names or patterns; empty for the split `train` (of `config`) as the card says."""
    config: str | None = None
    domain: str = ""
    teacher: str = ""

    def to_json(self) -> dict[str, JSON]:
        facts: dict[str, JSON] = {"id": self.id, "rows": self.num_rows, "license": self.license, "format": self.format}
        return facts | {"line": self.line, "caveats": self.caveats}


GPT = "Answers of OpenAI's models: their terms speak against training models that compete."
NON_COMMERCIAL = "Not for commercial use."

PUBLIC_SETS: Mapping[str, PublicSet] = {
    "alpaca": PublicSet(
        "tatsu-lab/alpaca", 52_002, "CC-BY-NC-4.0", "alpaca",
        "Self-Instruct questions with short answers.",
        f"{NON_COMMERCIAL} {GPT} Many answers are wrong or thin: score them.",
        teacher="text-davinci-003",
    ),
    "alpaca_gpt4": PublicSet(
        "vicgalle/alpaca-gpt4", 52_002, "CC-BY-NC-4.0", "alpaca",
        "Alpaca's questions, answered by GPT-4.",
        f"{NON_COMMERCIAL} {GPT} The same questions as alpaca: cap the answers per prompt.",
        teacher="gpt-4",
    ),
    "code_alpaca": PublicSet(
        "sahil2801/CodeAlpaca-20k", 20_022, "CC-BY-4.0", "alpaca",
        "Self-Instruct questions about code.",
        f"{GPT} The authors' repository says CC BY-NC 4.0. Answers are often code without a fence.",
        files=("*.json",), domain="code", teacher="text-davinci-003",
    ),
    "dolly": PublicSet(
        "databricks/databricks-dolly-15k", 15_011, "CC-BY-SA-3.0", "dolly",
        "Questions and answers that Databricks' people wrote.",
        "Share alike. Written in a hurry: some contexts hold marks of Wikipedia's footnotes.",
        files=("*.jsonl",),
    ),
    "gsm8k": PublicSet(
        "openai/gsm8k", 7_473, "MIT", "gsm8k",
        "School mathematics, worked out by people step by step.",
        "Its test split is a benchmark: decontaminate what is derived of it.",
        config="main", domain="mathematics",
    ),
    "hh_rlhf": PublicSet(
        "Anthropic/hh-rlhf", 160_800, "MIT", "hh",
        "Conversations with a chosen and a rejected end.",
        "Holds offensive and harmful text on purpose, and answers of early models: for preferences, filtered for talk.",
        files=("*-base/train.jsonl.gz", "helpful-online/train.jsonl.gz", "helpful-rejection-sampled/train.jsonl.gz"),
        domain="conversation",
    ),
    "metamath": PublicSet(
        "meta-math/MetaMathQA", 395_000, "MIT", "metamath",
        "Questions of GSM8K's and MATH's training sets, rephrased and turned around.",
        f"{GPT} Up to some dozens of rows come of one question (meta: original_question): split by it.",
        files=("*.json",), domain="mathematics", teacher="gpt-3.5-turbo",
    ),
    "openorca": PublicSet(
        "Open-Orca/OpenOrca", 4_233_923, "MIT", "openorca",
        "FLAN's questions, answered with explanations.",
        f"{GPT} FLAN's own sets have their own licences. About a million answers are of GPT-4, in "
        "1M-GPT4-Augmented.parquet; the others of GPT-3.5.",
        files=("*.parquet",),
    ),
    "sharegpt": PublicSet(
        "anon8231489123/ShareGPT_Vicuna_unfiltered", 94_145, "Apache-2.0", "sharegpt",
        "Conversations that people shared, of many turns and languages.",
        f"{GPT} People's own words, names and addresses in them: mask them. Many conversations begin in the middle.",
        files=("ShareGPT_V3_unfiltered_cleaned_split.json",), domain="conversation",
    ),
    "wizardlm": PublicSet(
        "WizardLMTeam/WizardLM_evol_instruct_V2_196k", 143_000, "MIT", "wizardlm",
        "Alpaca's and ShareGPT's questions, made harder step by step (Evol-Instruct V2).",
        f"{GPT} The part that holds ShareGPT's own conversations is not in it.",
        files=("*.json",),
    ),
    "xlam": PublicSet(
        "Salesforce/xlam-function-calling-60k", 60_000, "CC-BY-4.0", "xlam",
        "Questions, tools, and the calls that answer them, checked by running them.",
        "Gated: accept its terms first, and set HF_TOKEN.",
        files=("*.json",), domain="tools",
    ),
}  # fmt: skip
