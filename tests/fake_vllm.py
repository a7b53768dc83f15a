"""What the tests have in the place of a Python that has vLLM: the file is made executable and named so.

It says a version where it is asked for one, and is a server where it is to be one: with a process beside
it, as vLLM has, and answers that are always the same.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HERE = Path(__file__).parent
ANSWER = '{"mood": "ok"}'
LOGPROBS = {"tokens": ["token_id:7", "token_id:0"], "token_logprobs": [-0.25, -0.5]}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.reply({})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with open(HERE / "bodies.jsonl", "a") as file:
            file.write(json.dumps({"path": self.path, "body": body}) + "\n")
        if self.path == "/tokenize":
            said = body.get("prompt") or "".join(turn["content"] for turn in body["messages"])
            self.reply({"tokens": list(said.encode())})
        elif self.path == "/v1/completions":
            self.reply({"choices": [{"logprobs": LOGPROBS}]})
        else:
            message = {"role": "assistant", "content": ANSWER}
            choice = {"index": 0, "finish_reason": "stop", "message": message}
            usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
            self.reply(
                {"id": str(uuid.uuid4()), "object": "chat.completion", "created": 0, "model": body["model"],
                 "choices": [choice], "usage": usage}
            )  # fmt: skip

    def reply(self, body: object) -> None:
        sent = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)


def main() -> None:
    if "-c" in sys.argv:
        if "import vllm" in sys.argv[-1] and (HERE / "broken").exists():
            sys.exit((HERE / "broken").read_text())
        asked = HERE / "asked"
        asked.write_text(str(int(asked.read_text()) + 1 if asked.exists() else 1))
        sys.exit(print((HERE / "version").read_text()))
    (HERE / "started.json").write_text(json.dumps([sys.argv[1:], dict(os.environ)]))
    if (HERE / "refusal").exists():
        sys.exit((HERE / "refusal").read_text())
    beside = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
    (HERE / "pids").write_text(f"{os.getpid()} {beside.pid}")
    place = (sys.argv[sys.argv.index("--host") + 1], int(sys.argv[sys.argv.index("--port") + 1]))
    ThreadingHTTPServer(place, Handler).serve_forever()


if __name__ == "__main__":
    main()
