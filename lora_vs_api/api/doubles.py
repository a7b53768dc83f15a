"""One answer given to two texts: a gateway or connection that has lost the order of its answers."""

from __future__ import annotations

from dataclasses import dataclass, field

from lora_vs_api.api.types import Reply, Request

Mark = tuple[str, str]


@dataclass
class Doubles:
    """The answers of a call by what marks them, so that none is given to a second text.

    The mark is the response's id with its output: an id alone is not unique everywhere (Ollama
    draws it from a thousand).
    """

    owners: dict[Mark, Request | None] = field(default_factory=dict)

    def is_double(self, request: Request, reply: Reply) -> bool:
        """Whether the reply was given to another text before; else it is noted as this one's."""
        if not reply.response_id:
            return False
        # a question that is asked again may get its answer again, from a cache say
        owner = self.owners.setdefault((reply.response_id, reply.output), request)
        return owner is None or list(owner.messages) != list(request.messages)

    def taken_back(self, reply: Reply) -> Request | None:
        """The text that had the answer first, once; from now on it is nobody's."""
        mark = (reply.response_id, reply.output)
        owner, self.owners[mark] = self.owners[mark], None
        return owner

    @staticmethod
    def reason(reply: Reply) -> str:
        return f"the server gave one answer, {reply.response_id}, to two texts"
