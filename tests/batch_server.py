"""A small Batch API on loopback: files, batches, results; it counts and misbehaves as scripted."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.fault_server import Seen, chat_body, response_body


class BatchServer:
    """``with BatchServer(polls=2, kinds={"mail 3": "refusal"}) as server: ... server.url``

    Every batch is done at its ``polls``-th retrieval, with ``status``. ``kinds`` maps a request's
    last user message to a kind of tests.fault_server, to ``status`` (an error line) or to
    ``missing`` (no line at all). ``on_event`` is called with what is about to be answered, such
    as ``"POST /v1/batches"``, and may raise ``Drop`` to cut the connection after it took effect.
    ``spoil`` makes what is sent of a result file, from the number of the download and its rows;
    ``instead`` what is sent to an event in place of the right answer, which took effect. ``refused``
    maps an event to the statuses that its first calls get, with no effect. ``at_most`` is the number
    of requests that a batch may have: of more, as many tokens as would wait are too many.
    """

    def __init__(
        self,
        polls: int = 1,
        kinds: dict[str, str] | None = None,
        status: str = "completed",
        on_event: Callable[[str], None] | None = None,
        spoil: Callable[[int, list[Any]], list[Any]] | None = None,
    ) -> None:
        self.spoil, self.downloads, self.uploads = spoil, 0, 0
        self.instead: dict[str, Any] = {}
        self.refused: dict[str, list[tuple[int, str]]] = {}
        self.at_most: int | None = None
        # what an upload's status is at first and at each look, the last of them for good
        self.upload_statuses = ["processed"]
        self.deleted: list[str] = []
        # counts the failed among the completed
        self.miscounts = False
        # the address that every request is sent on to
        self.redirect: str | None = None
        self.polls, self.kinds, self.status, self.on_event = polls, kinds or {}, status, on_event
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.events: list[str] = []
        self.headers: list[str] = []
        self.lock = threading.Lock()
        outer = self

        class Handler(_Handler):
            state = outer

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"

    def __enter__(self) -> BatchServer:
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def upload(self, identity: str) -> dict[str, Any]:
        status = self.upload_statuses[0]
        if len(self.upload_statuses) > 1:
            self.upload_statuses.pop(0)
        return {"id": identity, "object": "file", "purpose": "batch", "status": status}

    def create(self, body: dict[str, Any]) -> dict[str, Any]:
        lines = [json.loads(line) for line in self.files[body["input_file_id"]].splitlines()]
        assert all(line["url"] == body["endpoint"] for line in lines)
        assert all("stream" not in line["body"] for line in lines)
        self.asked += [text_of(line["body"]) for line in lines]
        identity = f"batch_{len(self.batches) + 1}"
        self.batches[identity] = {
            "id": identity, "object": "batch", "endpoint": body["endpoint"], "created_at": 0,
            "input_file_id": body["input_file_id"], "completion_window": "24h",
            "metadata": body["metadata"], "status": "in_progress", "polled": 0,
            "request_counts": {"total": len(lines), "completed": 0, "failed": 0},
        }  # fmt: skip
        return self.batches[identity]

    def retrieve(self, identity: str) -> dict[str, Any]:
        batch = self.batches[identity]
        batch["polled"] += 1
        if batch["polled"] >= self.polls and batch["status"] == "in_progress":
            self._finish(batch)
        return batch

    def _finish(self, batch: dict[str, Any]) -> None:
        batch["status"] = self.status
        if self.at_most is not None and batch["request_counts"]["total"] > self.at_most:
            # in OpenAI's words
            message = "Enqueued token limit reached for gpt-mini. Limit: 90,000 enqueued tokens. Please try again once some in_progress batches have been completed."  # fmt: skip
            error = {"code": "token_limit_exceeded", "message": message, "line": None}
            batch |= {"status": "failed", "errors": {"object": "list", "data": [error]}}
            for line in self.files[batch["input_file_id"]].splitlines():
                self.asked.remove(text_of(json.loads(line)["body"]))
            return
        if self.status == "failed":
            batch["errors"] = {"object": "list", "data": [{"message": "the model is unknown"}]}
            return
        done, failed = [], []
        for line in self.files[batch["input_file_id"]].splitlines():
            entry = json.loads(line)
            text = text_of(entry["body"])
            kind = self.kinds.get(text, "ok")
            if kind == "missing":
                continue
            seen = Seen(entry["url"], {}, entry["body"], 0.0)
            body = (chat_body if "messages" in entry["body"] else response_body)(seen, kind)
            status = 200
            if kind == "status":
                status, body = 400, {"error": {"message": "this one is too long"}}
            result = {"id": "r", "custom_id": entry["custom_id"], "error": None,
                      "response": {"status_code": status, "request_id": "q", "body": body}}  # fmt: skip
            (done if status == 200 else failed).append(result)
        # the provider promises no order
        for key, rows in (("output_file_id", done[::-1]), ("error_file_id", failed)):
            if rows:
                identity = f"{batch['id']}_{key}"
                self.files[identity] = "".join(json.dumps(row) + "\n" for row in rows).encode()
                batch[key] = identity
        counts = (len(done) + len(failed), 0) if self.miscounts else (len(done), len(failed))
        batch["request_counts"].update(completed=counts[0], failed=counts[1])


class Drop(Exception):
    """The answer to what was done is lost."""


def text_of(body: dict[str, Any]) -> str:
    return (body.get("input") or body["messages"])[-1]["content"]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: BatchServer

    def log_message(self, *arguments: object) -> None:
        """Keep the tests' output free of an access log."""

    def do_GET(self) -> None:
        self._handle("GET", b"")

    def do_POST(self) -> None:
        self._handle("POST", self.rfile.read(int(self.headers["content-length"])))

    def do_DELETE(self) -> None:
        self._handle("DELETE", b"")

    def _handle(self, method: str, content: bytes) -> None:
        state, path = self.state, self.path.split("?")[0]
        event = f"{method} {path}"
        with state.lock:
            state.events.append(event)
            state.headers.append(self.headers["authorization"])
            status, answer = (307, {}) if state.redirect else self._do(event, content)
            answer = state.instead.get(event, answer)
            try:
                if state.on_event:
                    state.on_event(event)
            except Drop:
                self.close_connection = True
                return
        if not isinstance(answer, bytes):
            answer = json.dumps(answer).encode()
        try:
            self.send_response(status)
            self.send_header("content-type", "application/json")
            if state.redirect:
                self.send_header("location", state.redirect + path.removeprefix("/v1"))
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)
        except OSError:
            self.close_connection = True

    def _do(self, event: str, content: bytes) -> tuple[int, Any]:
        state = self.state
        if state.refused.get(event):
            status, message = state.refused[event].pop(0)
            return status, {"error": {"message": message}}
        if (found := re.fullmatch(r"DELETE /v1/files/(\w+)", event)) and (
            state.files.pop(found.group(1), None) is not None
        ):
            state.deleted.append(found.group(1))
            return 200, {"id": found.group(1), "object": "file", "deleted": True}
        if event == "POST /v1/files":
            state.uploads += 1
            identity = f"file_{state.uploads}"
            part = re.search(rb'name="file"[^\n]*\n.*?\r\n\r\n(.*?)\r\n--', content, re.S)
            state.files[identity] = part.group(1)
            return 200, state.upload(identity)
        if (found := re.fullmatch(r"GET /v1/files/(\w+)", event)) and found.group(1) in state.files:
            return 200, state.upload(found.group(1))
        if event == "POST /v1/batches":
            if (status := state.upload_statuses[0]) != "processed":
                # in Azure's words
                said = f"The input file '{json.loads(content)['input_file_id']}' is in '{status}' state. Only files with status 'Processed' are accepted for batch inferencing. Please check the file status and try again"  # fmt: skip
                return 400, {"error": {"message": said}}
            return 200, state.create(json.loads(content))
        if event == "GET /v1/batches":
            return 200, {"object": "list", "data": list(state.batches.values()), "has_more": False}
        if (found := re.fullmatch(r"GET /v1/batches/(\w+)", event)) and (
            found.group(1) in state.batches
        ):
            return 200, state.retrieve(found.group(1))
        if found := re.fullmatch(r"GET /v1/files/(\w+)/content", event):
            state.downloads += 1
            content = state.files[found.group(1)]
            if state.spoil is None:
                return 200, content
            rows = state.spoil(state.downloads, list(map(json.loads, content.splitlines())))
            # a row that is a text is sent as it is, without an end
            sent = (row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows)
            return 200, "".join(sent).encode()
        return 404, {"error": {"message": "no such page"}}
