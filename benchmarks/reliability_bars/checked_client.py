"""A client that compares every answer with that of an idle server, and writes down what it got."""

import http.client
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from serving.server_process import Reply

Kind = Literal["right", "wrong", "refused", "draining", "error", "unreachable", "cut off"]
# What differs from answer to answer, among the first bytes of each.
OF_ONE_REQUEST = re.compile(rb'"(inference_id|time)":("[^"]*"|[^,"}]*),')
HEAD_BYTES = 200
ANSWERED = ("right", "wrong")


class Asker(Protocol):
    """A connection that sends one photo again and again."""

    def ask(self) -> Reply:
        """Send it and read the whole answer."""
        ...

    def close(self) -> None:
        """Close the connection; `ask` opens it anew."""
        ...


@dataclass(frozen=True)
class Outcome:
    """What came of one request; times are those of `time.perf_counter`."""

    begin: float
    end: float
    kind: Kind
    status: int  # 0 where none came
    detail: str = ""  # of what went wrong


class CheckedClient:
    """Posts a photo, never raises for what a server may do, and adds an outcome to a list."""

    def __init__(self, connection: Asker, expected: bytes, outcomes: list[Outcome]) -> None:
        """expected: `comparable` of the answer that an idle server gave for the same photo."""
        self._connection, self._expected, self._outcomes = connection, expected, outcomes

    def post(self) -> int:
        """Send the photo and give the status; 0 where the connection failed."""
        begin = time.perf_counter()
        try:
            reply = self._connection.ask()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            kind: Kind = "unreachable" if isinstance(error, ConnectionRefusedError) else "cut off"
            self._note(begin, kind, 0, repr(error))
            return 0
        end = time.perf_counter()
        kind, detail = judge_reply(reply, self._expected)
        self._note(begin, kind, reply.status, detail, end)
        return reply.status

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _note(
        self, begin: float, kind: Kind, status: int, detail: str, end: float | None = None
    ) -> None:
        end = time.perf_counter() if end is None else end
        self._outcomes.append(Outcome(begin, end, kind, status, detail))


def judge_reply(reply: Reply, expected: bytes) -> tuple[Kind, str]:
    """Say what an answer is, and what is wrong with it.

    A refusal without `Retry-After` is an error: clients would not know that they may try again.
    """
    if reply.status == 200:
        return ("right", "") if comparable(reply.body) == expected else ("wrong", "other masks")
    if reply.status in (429, 503):
        if not (reply.retry_after or "").isdigit():
            return "error", f"{reply.status} without Retry-After"
        return ("refused" if reply.status == 429 else "draining"), ""
    return "error", f"{reply.status}: {reply.body[:200]!r}"


def comparable(body: bytes) -> bytes:
    """The answer to a photo without what differs from request to request.

    Read as bytes: to parse half a megabyte would take the server's cores from it.
    """
    head, masks = body[:HEAD_BYTES], body[HEAD_BYTES:]
    return OF_ONE_REQUEST.sub(b"", head) + masks


def idle_answer(connection: Asker, times: int = 3) -> bytes:
    """What an idle server answers, which has to be the same each time."""
    answers = set()
    for _ in range(times):
        reply = connection.ask()
        if reply.status != 200:
            raise RuntimeError(f"an idle server answered {reply.status}: {reply.body[:300]!r}")
        answers.add(comparable(reply.body))
    connection.close()
    if len(answers) > 1:
        raise RuntimeError(f"an idle server gave {len(answers)} different answers to one photo")
    return answers.pop()


def count(outcomes: Iterable[Outcome], *kinds: Kind) -> int:
    """How many outcomes are of these kinds."""
    return sum(outcome.kind in kinds for outcome in outcomes)


def details(outcomes: Sequence[Outcome], most: int = 5) -> list[str]:
    """The first different things that went wrong."""
    return list(dict.fromkeys(outcome.detail for outcome in outcomes if outcome.detail))[:most]
