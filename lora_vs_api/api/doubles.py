"""One answer given to two texts: a gateway or connection that has lost the order of its answers."""

from __future__ import annotations

from dataclasses import dataclass, field

from lora_vs_api.api.types import Reply, Request


@dataclass
class Given:
    """An answer's output, and whose it is; nobody's once a second text got it."""

    output: str
    owner: Request | None


@dataclass
class Doubles:
    """The answers of a call by their ids, so that none is given to a second text.

    An id that comes with two outputs is no answer's own: some servers number by chance (Ollama
    draws from a thousand) or send one id always. From then on the call's ids tell nothing.
    """

    given: dict[str, Given] = field(default_factory=dict)
    meaningless: bool = False

    def is_double(self, request: Request, reply: Reply, kept_for_another: bool = False) -> bool:
        """Whether the reply was given to another text before; else it is noted as this one's.

        Args:
            kept_for_another: it was, in an earlier call.
        """
        if not reply.response_id or self.meaningless:
            return False
        owner = None if kept_for_another else request
        known = self.given.setdefault(reply.response_id, Given(reply.output, owner))
        if known.output != reply.output:
            self.meaningless = True
            return False
        # a question that is asked again may get its answer again, from a cache say
        return known.owner is None or list(known.owner.messages) != list(request.messages)

    def taken_back(self, reply: Reply) -> Request | None:
        """The text that had the answer first, once; from now on it is nobody's."""
        known = self.given[reply.response_id]
        owner, known.owner = known.owner, None
        return owner

    @staticmethod
    def reason(reply: Reply) -> str:
        return f"the server gave one answer, {reply.response_id}, to two texts"
