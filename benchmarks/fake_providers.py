"""Model providers that answer on loopback and remember what they answered; and the receiver of the
traces of whoever asked them.
"""

from __future__ import annotations

import gzip
import itertools
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ANSWER_SECONDS = 0.1
CHAT_USAGE = {
    "prompt_tokens": 1000,
    "completion_tokens": 200,
    "total_tokens": 1200,
    "prompt_tokens_details": {"cached_tokens": 400},
    "completion_tokens_details": {"reasoning_tokens": 50},
}
RESPONSES_USAGE = {
    "input_tokens": 1000,
    "input_tokens_details": {"cached_tokens": 400},
    "output_tokens": 200,
    "output_tokens_details": {"reasoning_tokens": 50},
    "total_tokens": 1200,
}
ANTHROPIC_USAGE = {
    "input_tokens": 600,
    "cache_creation_input_tokens": 100,
    "cache_read_input_tokens": 400,
    "cache_creation": {"ephemeral_5m_input_tokens": 60, "ephemeral_1h_input_tokens": 40},
    "output_tokens": 200,
    "service_tier": "standard",
}
GOOGLE_USAGE = {
    "promptTokenCount": 1000,
    "candidatesTokenCount": 150,
    "totalTokenCount": 1200,
    "cachedContentTokenCount": 400,
    "thoughtsTokenCount": 50,
}
# Token classes of one answer, in the order of the usage columns: uncached, read, written for five
# minutes and for an hour, text, reasoning.
OPENAI_TOKENS, ANTHROPIC_TOKENS, EMBEDDING_TOKENS = (
    (600, 400, 0, 0, 150, 50),
    (600, 400, 60, 40, 200, 0),
    (1000, 0, 0, 0, 0, 0),
)
FAILED = (0, 0, 0, 0, 0, 0)


@dataclass
class Memory:
    """What was asked and what was told, since the last set-up."""

    answers: list[tuple[int, ...]] = field(default_factory=list)
    traces: list[bytes] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    memory: Memory

    def log_message(self, *_: Any) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        self.answer({"data": []})

    def do_POST(self) -> None:
        body = self.read_body()
        if self.path.endswith("/v1/traces"):
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            self.memory.traces.append(body)
            return self.answer({})
        try:
            asked = json.loads(body or b"{}")
        except ValueError:
            asked = {}
        number = next(self.memory.numbers)
        path = self.path.split("?")[0]
        if asked.get("model") == "fail":
            self.memory.answers.append(FAILED)
            return self.answer({"error": {"message": "slow down", "code": "rate_limit"}}, 429)
        time.sleep(ANSWER_SECONDS)
        if path.endswith("/chat/completions"):
            return self.chat(asked, number)
        if path.endswith("/responses"):
            return self.respond(asked, number)
        if path.endswith("/embeddings"):
            return self.embed(asked)
        if path.endswith("/messages"):
            return self.message(asked, number)
        if path.endswith("enerateContent"):
            return self.generate(path, number)
        return self.answer({"error": {"message": f"no such path {path}"}}, 404)

    def read_body(self) -> bytes:
        length = self.headers.get("Content-Length")
        if length is not None:
            return self.rfile.read(int(length))
        body = b""
        while size := int(self.rfile.readline().strip() or b"0", 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def answer(self, content: Any, status: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, events: list[tuple[str | None, Any]]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for name, content in events:
            text = content if isinstance(content, str) else json.dumps(content)
            self.wfile.write((f"event: {name}\n" if name else "").encode())
            self.wfile.write(f"data: {text}\n\n".encode())
            self.wfile.flush()
        self.close_connection = True

    # ------------------------------------------------------------ OpenAI

    def chat(self, asked: dict[str, Any], number: int) -> None:
        self.memory.answers.append(OPENAI_TOKENS)
        called = any(message.get("role") == "tool" for message in asked.get("messages", []))
        tools = asked.get("tools") if not called else None
        call = (
            [{"id": f"call_{number}", "type": "function", "function": asked_tool(tools[0])}]
            if tools
            else None
        )
        base = {
            "id": f"chatcmpl-{number:06d}",
            "created": int(time.time()),
            "model": snapshot(asked),
        }
        ended = "tool_calls" if call else "stop"
        message: dict[str, Any] = {"role": "assistant", "content": None if call else "Paris"}
        if not asked.get("stream"):
            if call:
                message["tool_calls"] = call
            choice = {"index": 0, "message": message, "finish_reason": ended}
            return self.answer(
                {**base, "object": "chat.completion", "choices": [choice], "usage": CHAT_USAGE}
            )
        base["object"] = "chat.completion.chunk"
        delta = message | ({"tool_calls": [{"index": 0, **call[0]}]} if call else {})
        chunks = [
            {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
            {**base, "choices": [{"index": 0, "delta": {}, "finish_reason": ended}]},
        ]
        if (asked.get("stream_options") or {}).get("include_usage"):
            chunks.append({**base, "choices": [], "usage": CHAT_USAGE})
        return self.stream([(None, chunk) for chunk in chunks] + [(None, "[DONE]")])

    def respond(self, asked: dict[str, Any], number: int) -> None:
        self.memory.answers.append(OPENAI_TOKENS)
        given = asked.get("input")
        called = isinstance(given, list) and any(
            item.get("type") == "function_call_output" for item in given
        )
        tools = [each for each in asked.get("tools") or [] if each.get("type") == "function"]
        content = {"type": "output_text", "text": "Paris", "annotations": [], "logprobs": []}
        output: dict[str, Any] = {
            "type": "message",
            "id": f"msg_{number}",
            "role": "assistant",
            "status": "completed",
            "content": [content],
        }
        if tools and not called:
            output = {
                "type": "function_call",
                "id": f"fc_{number}",
                "call_id": f"call_{number}",
                "status": "completed",
                **asked_tool(tools[0]),
            }
        self.answer(
            {
                "id": f"resp_{number:06d}",
                "object": "response",
                "created_at": int(time.time()),
                "status": "completed",
                "model": snapshot(asked),
                "output": [output],
                "parallel_tool_calls": True,
                "tool_choice": "auto",
                "tools": asked.get("tools") or [],
                "usage": RESPONSES_USAGE,
            }
        )

    def embed(self, asked: dict[str, Any]) -> None:
        self.memory.answers.append(EMBEDDING_TOKENS)
        vector = "AACAPwAAgD8=" if asked.get("encoding_format") == "base64" else [1.0, 1.0]
        self.answer(
            {
                "object": "list",
                "model": asked.get("model"),
                "data": [{"object": "embedding", "index": 0, "embedding": vector}],
                "usage": {"prompt_tokens": 1000, "total_tokens": 1000},
            }
        )

    # ------------------------------------------------------------ Anthropic and Google

    def message(self, asked: dict[str, Any], number: int) -> None:
        self.memory.answers.append(ANTHROPIC_TOKENS)
        called = "tool_result" in json.dumps(asked.get("messages", []))
        tools = asked.get("tools") if not called else None
        block: dict[str, Any] = {"type": "text", "text": "Paris"}
        if tools:
            given = json.loads(asked_tool(tools[0])["arguments"])
            name = tools[0]["name"]
            block = {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": given}
        whole = {
            "id": f"msg_{number:06d}",
            "type": "message",
            "role": "assistant",
            "model": asked.get("model"),
            "content": [block],
            "stop_reason": "tool_use" if tools else "end_turn",
            "stop_sequence": None,
            "usage": ANTHROPIC_USAGE,
        }
        if not asked.get("stream"):
            return self.answer(whole)
        begun = {**whole, "content": [], "stop_reason": None}
        begun["usage"] = {**ANTHROPIC_USAGE, "output_tokens": 1}
        empty = {**block, "input": {}} if tools else {"type": "text", "text": ""}
        delta = (
            {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
            if tools
            else {"type": "text_delta", "text": "Paris"}
        )
        ended = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
        events: list[dict[str, Any]] = [
            {"type": "message_start", "message": begun},
            {"type": "content_block_start", "index": 0, "content_block": empty},
            {"type": "content_block_delta", "index": 0, "delta": delta},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": ended, "usage": {"output_tokens": 200}},
            {"type": "message_stop"},
        ]
        return self.stream([(str(event["type"]), event) for event in events])

    def generate(self, path: str, number: int) -> None:
        self.memory.answers.append(OPENAI_TOKENS)
        candidate = {
            "content": {"role": "model", "parts": [{"text": "Paris"}]},
            "finishReason": "STOP",
            "index": 0,
        }
        name = path.rsplit("/", 1)[-1].split(":")[0]
        whole = {
            "candidates": [candidate],
            "usageMetadata": GOOGLE_USAGE,
            "modelVersion": name,
            "responseId": f"gem-{number:06d}",
        }
        if "stream" in path:
            return self.stream([(None, whole)])
        return self.answer(whole)


def asked_tool(tool: dict[str, Any]) -> dict[str, str]:
    """Name and arguments of a call of the tool."""
    told = tool.get("function", tool)
    schema = told.get("parameters") or told.get("input_schema") or {}
    arguments = dict.fromkeys(schema.get("properties", {}), "x")
    return {"name": told["name"], "arguments": json.dumps(arguments)}


def snapshot(asked: dict[str, Any]) -> str:
    """The dated model that answers."""
    model = str(asked.get("model"))
    return "gpt-4o-2024-08-06" if model == "gpt-4o" else model


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


@contextmanager
def fake_providers() -> Iterator[tuple[str, Memory]]:
    """(address, memory) of a server that answers inside the block."""
    memory = Memory()
    server = Server(("127.0.0.1", 0), type("Remembering", (Handler,), {"memory": memory}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", memory
    finally:
        server.shutdown()
