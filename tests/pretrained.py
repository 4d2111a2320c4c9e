"""Tiny Hugging Face folders as hubs hold them: four architectures, each with its own tokenizer and chat template.

The weights are random and large enough that every part of the model matters to what it predicts.
"""

import json
from pathlib import Path
from typing import Any, Literal

from tiny_models import LINES

Family = Literal["llama3", "qwen2", "qwen3", "mistral"]
FAMILIES: tuple[Family, ...] = ("llama3", "qwen2", "qwen3", "mistral")

LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2_SPLIT = LLAMA3_SPLIT.replace(r"\p{N}{1,3}", r"\p{N}")
TEKKEN_SPLIT = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPLITS = {"llama3": LLAMA3_SPLIT, "qwen2": QWEN2_SPLIT, "qwen3": QWEN2_SPLIT, "mistral": TEKKEN_SPLIT}

SPECIAL = {
    "llama3": ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
    "qwen2": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
    "qwen3": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
    "mistral": ["<unk>", "<s>", "</s>", "[INST]", "[/INST]"],
}
BOS = {"llama3": "<|begin_of_text|>", "qwen2": None, "qwen3": None, "mistral": "<s>"}
EOS = {"llama3": "<|eot_id|>", "qwen2": "<|im_end|>", "qwen3": "<|im_end|>", "mistral": "</s>"}
PAD = {"llama3": "<|end_of_text|>", "qwen2": "<|endoftext|>", "qwen3": "<|endoftext|>", "mistral": "</s>"}

TEMPLATES = {
    "llama3": (
        "{% set loop_messages = messages %}{% for message in loop_messages %}"
        "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim"
        " + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
    ),
    "qwen2": (
        "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
        "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}"
        "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    ),
    "qwen3": (
        "{%- for message in messages %}{%- if message.role == 'assistant' %}"
        "{%- set content = message.content %}{%- if '</think>' in content %}"
        "{%- set content = content.split('</think>')[-1].lstrip('\\n') %}{%- endif %}"
        "{%- if loop.last %}{{- '<|im_start|>assistant\\n<think>\\n\\n</think>\\n\\n' + content.lstrip('\\n') }}"
        "{%- else %}{{- '<|im_start|>assistant\\n' + content }}{%- endif %}{{- '<|im_end|>\\n' }}"
        "{%- else %}{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{%- endif %}"
        "{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
    ),
    "mistral": (
        "{%- if messages[0]['role'] == 'system' %}{%- set system_message = messages[0]['content'] %}"
        "{%- set loop_messages = messages[1:] %}{%- else %}{%- set loop_messages = messages %}{%- endif %}"
        "{{- bos_token }}{%- for message in loop_messages %}"
        "{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
        "{{- raise_exception('roles must alternate user/assistant/user/assistant/...') }}{%- endif %}"
        "{%- if message['role'] == 'user' %}{%- if loop.last and system_message is defined %}"
        "{{- '[INST]' + system_message + '\\n\\n' + message['content'] + '[/INST]' }}{%- else %}"
        "{{- '[INST]' + message['content'] + '[/INST]' }}{%- endif %}"
        "{%- elif message['role'] == 'assistant' %}{{- message['content'] + eos_token }}{%- endif %}{%- endfor %}"
    ),
}


def pretrained(folder: Path, family: Family = "llama3", *, std: float = 0.15, seed: int = 0, **changes: Any) -> Path:
    """Write a folder as a hub would hold it, and return it. `changes` go into the config (`vocab_size=512`)."""
    import torch
    from transformers import LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM

    classes = {
        "llama3": LlamaForCausalLM, "qwen2": Qwen2ForCausalLM, "qwen3": Qwen3ForCausalLM, "mistral": MistralForCausalLM,
    }  # fmt: skip
    num_tokens = write_tokenizer(folder, family)
    dimensions: dict[str, Any] = {
        "vocab_size": num_tokens,
        "hidden_size": 256,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "rms_norm_eps": 1e-5,
        "initializer_range": std,
        "tie_word_embeddings": family in ("qwen2", "qwen3"),
        "rope_parameters": {"rope_type": "default", "rope_theta": 500_000.0},
    }
    dimensions |= {"head_dim": 64} if family != "qwen2" else {}
    dimensions |= {"sliding_window": None} if family == "mistral" else {}
    config = classes[family].config_class(**{**dimensions, **changes})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = classes[family](config)
        for name, parameter in model.named_parameters():
            if name.endswith(("bias", "norm.weight", "layernorm.weight")):
                parameter.data += 0.2 * torch.randn_like(parameter)
    model.save_pretrained(str(folder))
    return folder


def write_tokenizer(folder: Path, family: Family, *, size: int = 320) -> int:
    """The tokenizer files of a family, with a vocabulary learned from a few lines; returns its number of tokens."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    words = Tokenizer(models.BPE(ignore_merges=family in ("llama3", "mistral")))
    split = pre_tokenizers.Split(Regex(SPLITS[family]), behavior="isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    words.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    words.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = [AddedToken(token, special=True) for token in SPECIAL[family]]
    front = special if family == "mistral" else []  # the others put special tokens behind the vocabulary
    trainer = trainers.BpeTrainer(
        vocab_size=size - len(special) + len(front), initial_alphabet=sorted(alphabet), special_tokens=front,
        show_progress=False,
    )  # fmt: skip
    words.train_from_iterator(LINES, trainer)
    words.add_special_tokens(special)
    byte_post = processors.ByteLevel(trim_offsets=False)
    if bos := BOS[family]:
        bos_id = words.token_to_id(bos)
        template = processors.TemplateProcessing(
            single=f"{bos} $A", pair=f"{bos} $A {bos}:1 $B:1", special_tokens=[(bos, bos_id)]
        )
        words.post_processor = processors.Sequence([byte_post, template])
    else:
        words.post_processor = byte_post
    folder.mkdir(parents=True, exist_ok=True)
    words.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "bos_token": BOS[family],
                "eos_token": EOS[family],
                "pad_token": PAD[family],
                "model_max_length": 512,
                "clean_up_tokenization_spaces": False,
            }
        )
    )
    (folder / "chat_template.jinja").write_text(TEMPLATES[family])
    return words.get_vocab_size()
