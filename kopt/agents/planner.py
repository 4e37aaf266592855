"""Plans before code: what is computed, how the data flows, how it is tiled. A few lines, made once and used often.

Asking for the dataflow before the kernel keeps the writer's attention on one decision at a time; as the plan depends on
nothing but the problem, every first version of a run shares it, and its tokens are read from the provider's cache.
"""

from __future__ import annotations

import threading

from kopt.agents.bill import charge
from kopt.agents.chat.errors import ChatError, SetupError
from kopt.agents.chat.words import ChatModel, Message
from kopt.agents.context import Context, Cost
from kopt.agents.roles.planning import Plan, plan_message, plan_request


class Planner:
    """Plans with one model."""

    def __init__(self, model: ChatModel, plans: int = 1) -> None:
        """Put a planner together.

        Args:
            model: who is asked; one call a plan.
            plans: how many different ones there are; first versions take turns.
        """
        self._model = model
        self._count = plans
        self._made: dict[int, tuple[Message | None, Cost]] = {}
        self._making = threading.Lock()
        self._remarks: list[str] = []

    def explain(self) -> list[str]:
        """What went wrong, a line each, newest last."""
        return list(self._remarks)

    def plan(self, context: Context, turn: int) -> Message | None:
        """The plan whose turn it is; None where the model gave none, for which it is not asked again.

        Raises:
            SetupError: the model cannot be used at all.
            KoptError: the budget is spent.
        """
        sample = turn % self._count
        with self._making:  # whoever else wants it meanwhile waits for it, and does not make another
            if sample not in self._made:
                self._made[sample] = self._ask(context, sample)
        message, cost = self._made[sample]
        charge(cost)  # to all who use it alike: who was first is a matter of milliseconds
        return message

    def _ask(self, context: Context, sample: int) -> tuple[Message | None, Cost]:
        try:
            reply = self._model.complete(plan_request(context), sample=sample)
        except SetupError:
            raise
        except ChatError as error:
            self._remarks.append(f"no plan: {error}")
            return None, Cost()
        plan = plan_message(reply.parsed) if isinstance(reply.parsed, Plan) else None
        return plan, Cost(reply.worth, reply.took)
