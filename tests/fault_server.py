"""A small OpenAI-like HTTP server on loopback that misbehaves as scripted.

It stands for everything a hosted API can do to a client; the client under test is the real one.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Fault:
    """One thing to do instead of answering.

    kind: ``status`` (an error of HTTP status ``status``), ``broken`` (500 without a body), ``reset`` (the connection is reset
    before the answer), ``reset_mid_body``, ``slow`` (answers properly, after ``seconds``),
    ``drip`` (answers properly, one byte every 0.05 s), ``truncated_json``, ``html`` (200 with a
    page of some gateway), ``empty``, ``refusal``, ``filtered``, ``incomplete`` (token limit),
    ``failed`` (200 with status failed), ``no_usage``, ``ok`` (answers, with ``headers``), ``json``
    (200 with what ``body`` makes of the usual body),
    ``double`` (the answer that another request was given last, its id and all), ``raw`` (200 with
    ``text``, or with what it makes of the usual body).
    """

    kind: str
    status: int = 500
    error: dict[str, Any] = field(default_factory=lambda: {"message": "scripted fault"})
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    body: Callable[[dict[str, Any]], Any] | None = None
    text: str | Callable[[dict[str, Any]], str] = ""


@dataclass(frozen=True)
class Seen:
    """One request that reached the server; ``at`` is time.monotonic(), ``port`` the client's."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    at: float
    port: int = 0

    @property
    def text(self) -> str:
        """The last user message, by which a request is known."""
        return (self.body.get("input") or self.body["messages"])[-1]["content"]


class FaultServer:
    """``with FaultServer({"mail 3": [Fault("status", 429)]}) as server: ... server.url``

    ``faults`` maps a request's last user message to what happens to its first, second, …
    attempt; after those, and to every other request, it answers ``{"echo": "<the message>"}``
    with 10 input tokens for each message, 7 output tokens and 3 cached ones.
    """

    def __init__(
        self,
        faults: dict[str, list[Fault]] | None = None,
        on_arrival: Callable[[int], None] | None = None,
    ) -> None:
        # called with the number of the request, from 1, before anything is answered
        self.on_arrival = on_arrival
        # what it does to every request that is not scripted, by its path and body
        self.habit: Callable[[str, dict[str, Any]], Fault | None] = lambda path, body: None
        # as a proxy, the status of its answer to a tunnel
        self.tunnel = 403
        # what it answers to GET, by path
        self.pages: dict[str, Any] = {}
        self.faults = {text: list(scripted) for text, scripted in (faults or {}).items()}
        self.seen: list[Seen] = []
        self.max_in_flight = 0
        # as every provider's are; without, all answers have one id
        self.distinct_ids = True
        self.last: Any = None
        self._in_flight = 0
        self._lock = threading.Lock()
        outer = self

        class Handler(_Handler):
            server_state = outer

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"

    def __enter__(self) -> FaultServer:
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def attempts(self, text: str) -> int:
        """How many requests with that last user message arrived."""
        return sum(request.text == text for request in self.seen)

    def arrived(self, request: Seen) -> Fault | None:
        with self._lock:
            self.seen.append(request)
            self._in_flight += 1
            self.max_in_flight = max(self.max_in_flight, self._in_flight)
            if self.on_arrival:
                self.on_arrival(len(self.seen))
            scripted = self.faults.get(request.text)
            return scripted.pop(0) if scripted else self.habit(request.path, request.body)

    def left(self) -> None:
        with self._lock:
            self._in_flight -= 1


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_state: FaultServer

    def log_message(self, *arguments: object) -> None:
        """Keep the tests' output free of an access log."""

    def do_GET(self) -> None:
        page = self.server_state.pages.get(self.path.split("?")[0])
        found = {"error": {"message": "no such page"}} if page is None else page
        self._send(404 if page is None else 200, json.dumps(found).encode())

    def do_CONNECT(self) -> None:
        self._send(self.server_state.tunnel, b"<html>log in</html>")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Seen(self.path, headers, body, time.monotonic(), self.client_address[1])
        fault = self.server_state.arrived(request)
        try:
            self._answer(request, fault)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client gave up, as some tests want
        finally:
            self.server_state.left()

    def _answer(self, request: Seen, fault: Fault | None) -> None:
        kind = fault.kind if fault else "ok"
        if kind == "status":
            error = fault.body({"error": fault.error}) if fault.body else {"error": fault.error}
            self._send(fault.status, json.dumps(error).encode(), fault.headers)
            return
        if kind == "broken":
            self._send(500, b"")
            return
        if kind == "reset":
            self._reset()
            return
        if kind == "html":
            self._send(200, b"<html>gateway</html>", {"content-type": "text/html"})
            return
        if kind == "slow":
            time.sleep(fault.seconds)
        chat = request.path.endswith("/chat/completions")
        answer: Any = (chat_body if chat else response_body)(request, kind)
        if self.server_state.distinct_ids:
            answer["id"] += f"-{len(self.server_state.seen)}-{request.text}"
        if fault and fault.body:
            answer = fault.body(answer)
        if kind == "double":
            answer = self.server_state.last or answer
        self.server_state.last = answer
        content = json.dumps(answer).encode()
        if kind == "raw":
            text = fault.text(answer) if callable(fault.text) else fault.text
            self._send(200, text.encode(), fault.headers)
        elif kind == "truncated_json":
            self._send(200, content[: len(content) // 2])
        elif kind == "reset_mid_body":
            self._head(200, len(content), {})
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            time.sleep(0.05)
            self._reset()
        elif kind == "drip":
            self._head(200, len(content), {})
            for position in range(len(content)):
                self.wfile.write(content[position : position + 1])
                self.wfile.flush()
                time.sleep(0.05)
        else:
            self._send(200, content, fault.headers if fault else None)

    def _send(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self._head(status, len(content), headers or {})
        self.wfile.write(content)

    def _head(self, status: int, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"content-type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(length))
        self.end_headers()

    def _reset(self) -> None:
        # lingering for no time makes close() send RST instead of FIN
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.shutdown(socket.SHUT_RD)
        self.close_connection = True
        self.connection.close()


def response_body(request: Seen, kind: str) -> dict[str, Any]:
    """The body of POST /v1/responses."""
    part: dict[str, Any] = {
        "type": "output_text",
        "text": _output(request, kind),
        "annotations": [],
    }
    if kind == "refusal":
        part = {"type": "refusal", "refusal": "I cannot help with that."}
    incomplete = {"incomplete": "max_output_tokens", "filtered": "content_filter"}.get(kind)
    status = "incomplete" if incomplete else "failed" if kind == "failed" else "completed"
    usage = {
        "input_tokens": 10 * len(request.body["input"]),
        "input_tokens_details": {"cached_tokens": 3},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 10 * len(request.body["input"]) + 7,
    }
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 0,
        "model": request.body["model"],
        "status": status,
        "error": {"code": "server_error", "message": "it broke"} if kind == "failed" else None,
        "incomplete_details": {"reason": incomplete} if incomplete else None,
        "output": [
            {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "status": "completed",
                "content": [part],
            }
        ],
        "parallel_tool_calls": False,
        "tool_choice": "auto",
        "tools": [],
        "usage": None if kind == "no_usage" else usage,
    }


def chat_body(request: Seen, kind: str) -> dict[str, Any]:
    """The body of POST /v1/chat/completions."""
    finish = {"incomplete": "length", "filtered": "content_filter"}.get(kind, "stop")
    message = {"role": "assistant", "content": _output(request, kind), "refusal": None}
    if kind == "refusal":
        message.update(content=None, refusal="I cannot help with that.")
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": request.body["model"],
        "choices": [{"index": 0, "finish_reason": finish, "message": message}],
        "usage": None
        if kind == "no_usage"
        else {
            "prompt_tokens": 10 * len(request.body["messages"]),
            "prompt_tokens_details": {"cached_tokens": 3},
            "completion_tokens": 7,
            "total_tokens": 10 * len(request.body["messages"]) + 7,
        },
    }


def _output(request: Seen, kind: str) -> str:
    return "" if kind == "empty" else json.dumps({"echo": request.text})
