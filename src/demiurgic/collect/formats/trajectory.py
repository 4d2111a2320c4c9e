"""What an agent did: OpenAI's messages of a whole task, and the reward it got, as tau-bench writes them."""

from typing import Any

from demiurgic.collect.fields import known
from demiurgic.collect.formats import FORMATS, Fields
from demiurgic.collect.openai_messages import openai_messages, openai_tools
from demiurgic.core.records import RowError


@FORMATS.register("trajectory", fields="traj, a list of OpenAI's messages, and reward", reads=[])
class Trajectory:
    """An agent's messages and calls; the reward becomes a score, task and trial go into meta (tau-bench)."""

    def detect(self, record: Fields) -> bool:
        return isinstance(record.get("traj"), list)

    def row(self, record: Fields) -> dict[str, Any]:
        if "traj" not in record:
            raise RowError("no traj")
        found = openai_messages(record["traj"])
        reward = record.get("reward")
        scores = {"reward": reward} if isinstance(reward, int | float) else {}
        meta = {**found.meta, **known(record, "task_id", "trial")}
        return {"messages": found.messages, "tools": openai_tools(record), "scores": scores, "meta": meta}
