"""A record of every format, with what its row says: the contract tests run on these.

Whoever adds a format adds its example here.
"""

from collections.abc import Mapping
from typing import Any

CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
TURNS = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
SHARED = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]

FORMAT_EXAMPLES: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "alpaca": (
        {"instruction": "Double it.", "input": "2", "output": "4"},
        {"instruction": "Double it.", "input": None, "output": "4", "history": [["Hi", "Hello"]], "system": "Go."},
        {"instruction": "Double it.", "input": "2", "response": "4", "output": "4"},
        {"instruction": "Double it.", "input": "2", "output": "4", "text": "Below is an instruction ..."},
    ),
    "dolly": ({"instruction": "Who?", "context": "Ada wrote it.", "response": "Ada.", "category": "closed_qa"},),
    "gpteacher": ({"instruction": "Double it.", "input": "2", "response": "4"},),
    "gsm8k": ({"question": "2 + 2?", "answer": "2 + 2 = <<2+2=4>>4.\n#### 4"},),
    "hh": ({"chosen": "\n\nHuman: Hi\n\nAssistant: Hello", "rejected": "\n\nHuman: Hi\n\nAssistant: No."},),
    "messages": (
        {"messages": TURNS},
        {"id": "a", "content_hash": "0", "text": "Once."},
        {"messages": [TURNS[0], {"role": "assistant", "content": None, "tool_calls": [CALL]}], "tools": "[]"},
    ),
    "metamath": ({"query": "2 + 2?", "response": "The answer is: 4", "type": "GSM", "original_question": "?"},),
    "openai": (
        {"messages": TURNS, "parallel_tool_calls": False, "tools": []},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}, TURNS[1]]},
        {"messages": [{**TURNS[0], "name": "ada"}, TURNS[1]]},
        {"messages": TURNS, "prompt_id": "7"},
        {"messages": TURNS, "id": 7},
    ),
    "openorca": ({"id": "flan.1", "system_prompt": "Be brief.", "question": "Hi", "response": "Hello"},),
    "preference": (
        {"prompt": "Hi", "chosen": "Hello", "rejected": "No."},
        {"prompt": "Hi", "chosen": TURNS, "rejected": TURNS[:1], "score_chosen": 1.0},
    ),
    "prompt_completion": ({"prompt": "Hi", "completion": "Hello"},),
    "sharegpt": ({"id": "x_0", "conversations": SHARED}, {"conversations": SHARED, "system": "Go.", "tools": "[]"}),
    "text": ({"text": "Once."}, {"text": "Once.", "meta": {"url": "x"}, "timestamp": "2020"}),
    "trajectory": ({"task_id": 1, "reward": 1.0, "traj": TURNS, "info": {}, "trial": 0},),
    "wizardlm": ({"instruction": "Hi", "output": "Hello"}, {"idx": "a", "conversations": SHARED}),
    "xlam": (
        {"id": 1, "query": "Add.", "answers": '[{"name": "add", "arguments": {"a": 1}}]', "tools": '[{"name": "add"}]'},
    ),
}  # fmt: skip
