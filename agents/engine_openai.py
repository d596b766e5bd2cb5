"""The engine for servers with an OpenAI-compatible API: /completions or /chat/completions, many requests at a time.

All agents use the served model; adapters are ignored, because the weights are the server's. The seed of a request is a
digest of its key; whether equal seeds give equal texts depends on the server. Each completion is counted once, by the
server's `usage`, regardless of retries: tokens of failed tries are unknown. Where `usage` is missing or impossible
(more than what was sent can have, or 0 for a text), tokens are counted with the server's /tokenize endpoint (vLLM has
one) or estimated (`estimate_tokens`).

A chat is sent as messages, which the server formats. Not all servers know two of its fields: `response_format`, which
constrains a reply to a JSON schema, and `chat_template_kwargs`, which turns reasoning on or off. If a server refuses a
request with them and accepts it without them, they are left out from then on, with a log line. Reasoning text is
counted and not used. Left out: streaming, tools, several choices per request.
"""

from __future__ import annotations

import asyncio
import difflib
import hashlib
import json
import logging
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from agents.adapters import Adapters
from agents.engine import Completion, Halted, Meter, Request, cut
from agents.http_client import CutShortError, Endpoint, GaveUpError, RefusedError, Session, one_line, run
from agents.prompt import Chat, Prompt
from agents.server_answer import AnsweredError, choice_error

CONNECT_RETRIES = 2  # at the start, where a server that is not there should be told soon
MOST_STOPS = 4  # the API takes no more; further ones are cut here
MOST_ADDED = 10_000  # tokens that a server may add to what was sent, or think without sending them
OPTIONAL = ("chat_template_kwargs", "response_format")  # of a chat; servers may refuse what they do not know
UNKNOWN = (400, 422)  # what they answer then
THOUGHT = ("reasoning_content", "reasoning")  # where servers put what a model thought
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Server:
    """A server and how to send requests. `api_key_env` is the name of an environment variable, not a key."""

    url: str
    model: str
    api: Literal["completions", "chat"] = "completions"
    api_key_env: str = ""
    concurrency: int = 32
    retries: int = 6
    timeout_s: float = 120.0
    logprobs: bool = False
    tokenize: bool = True
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Answer:
    """A response; None for what the server left out. `thought` is the reasoning before the text, not used."""

    text: str
    thought: str
    finish: str | None
    prompt_tokens: int | None
    generated_tokens: int | None
    logprob: float


class OpenAIEngine:
    """Generates with one model of one server.

    Raises OSError if the server cannot be reached, ValueError if it wants another key or does not serve the model.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.endpoint = Endpoint(
            server.url, read_key(server.api_key_env), server.concurrency, server.retries, server.timeout_s
        )
        self._path = "/chat/completions" if server.api == "chat" else "/completions"
        self._meter: Meter | None = None
        self._tokenizes, self._counts = server.tokenize, dict[str, int]()
        self._implausible = set[str]()  # fields of `usage` that held an impossible count
        self._refused: frozenset[str] = frozenset()  # of OPTIONAL, by this server
        try:
            served = run(
                lambda s: s.ask(f"{server.url}/models", None, read_models, "models", CONNECT_RETRIES), self.endpoint
            )
        except GaveUpError as error:
            raise OSError(f"no model server to be reached: {error}; is it running, and is the url right?") from None
        if server.model not in served:
            near = difflib.get_close_matches(server.model, served, n=1, cutoff=0.4)
            hint = f"; did you mean {near[0]!r}?" if near else f"; it serves {', '.join(served[:10]) or 'none'}"
            raise ValueError(f"{server.url} serves no model {server.model!r}{hint}")

    def set_adapters(self, adapters: Adapters) -> None:
        """Does nothing: the server's model has no adapters of ours."""

    def set_meter(self, meter: Meter) -> None:
        """Ask this meter before each request, and report each completion to it."""
        self._meter = meter

    def count_tokens(self, text: str) -> int:
        """Number of tokens by the server's /tokenize, requested once per text; `estimate_tokens` without it."""
        if text not in self._counts:
            run(lambda s: self._count(s, text), self.endpoint)
        return self._counts[text]

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """Completions in the order of the requests: all of them, or an error.

        Raises OSError if one fails in all its tries, ValueError if the server refuses one, Halted if the meter admits
        no more. Those under way are waited for then, so that what they cost is not lost: the meter keeps them.
        """
        done: dict[int, Completion] = {}
        if self._meter:
            for at, request in enumerate(requests):
                if found := self._meter.found(request.key, self.digest(request)):
                    done[at] = found
        try:
            if len(done) < len(requests):
                run(lambda s: self._generate(s, requests, done), self.endpoint)
        except GaveUpError as error:
            then = "those are kept" if self._meter else "all are asked for again"
            raise OSError(
                f"{error}; {len(done)} of this batch's {len(requests)} completions were there, {then}"
            ) from None
        return [done[i] for i in range(len(requests))]

    async def _generate(self, session: Session, requests: Sequence[Request], done: dict[int, Completion]) -> None:
        meter, left = self._meter, [at for at in range(len(requests)) if at not in done]
        todo, under_way, halted, failed = iter(left), 0, False, list[Exception]()

        async def work() -> None:
            nonlocal under_way, halted
            for at in todo:
                if failed or halted or (meter and not meter.admits(under_way)):
                    halted = True
                    return
                under_way += 1
                try:
                    done[at] = await self._complete(session, requests[at])
                except (GaveUpError, ValueError) as error:
                    failed.append(error)
                    session.end_tries()
                    return
                finally:
                    under_way -= 1
                if meter:
                    meter.keep(self.digest(requests[at]), done[at])

        if meter and (seconds := meter.seconds_left()) is not None:
            asyncio.get_running_loop().call_later(seconds, session.end_tries)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self.server.concurrency, len(left))):
                    group.create_task(work())
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        for error in failed:
            if not isinstance(error, CutShortError):
                raise error
        if meter and (halted or failed):
            raise Halted(meter.why())

    async def _complete(self, session: Session, request: Request) -> Completion:
        try:
            answer = await self._ask(session, request)
        except RefusedError as error:
            raise ValueError(
                f"{error} [request {request.key!r}, a prompt of {len(str(request.prompt))} letters]"
            ) from None
        said = answer.thought + answer.text
        prompt = self._plausible("prompt_tokens", answer.prompt_tokens, self.sent_tokens(request), True)
        generated = self._plausible("completion_tokens", answer.generated_tokens, self.most_tokens(request, said), said)
        if prompt is None:
            prompt = await self._count(session, str(request.prompt))
        if generated is None:
            generated = await self._count(session, said) if said else 0
        full = "length" if generated >= request.max_tokens else "stop"
        finish = full if answer.finish is None else "length" if answer.finish == "length" else "stop"
        return Completion(request.key, cut(answer.text, request.stop), finish, prompt, generated, answer.logprob)

    async def _ask(self, session: Session, request: Request) -> _Answer:
        """The response; requested again without optional fields if the server refuses them."""
        url, chat = self.server.url + self._path, self.server.api == "chat"
        whole, first = self.body(request), None
        optional = [k for k in OPTIONAL if k in whole and k not in self._refused and k not in self.server.extra]
        for without in [[], *[[k] for k in optional], *([optional] if len(optional) > 1 else [])]:
            body = {k: v for k, v in whole.items() if k not in self._refused and k not in without}
            try:
                answer = await session.ask(url, body, lambda a: read_answer(a, chat), request.key)
            except RefusedError as error:
                first = first or error
                if error.status not in UNKNOWN:
                    raise first from None
                continue
            if not self._refused.issuperset(without):
                self._refused |= set(without)
                LOG.warning("note: %s refuses %s: asked without from now on", self.server.url, " and ".join(without))
            return answer
        assert first is not None
        raise first

    def body(self, request: Request) -> dict[str, Any]:
        """The JSON body of a request. Raises ValueError for a chat prompt with the completions API."""
        server, chat, prompt = self.server, self.server.api == "chat", request.prompt
        body: dict[str, Any] = {"model": server.model}
        if chat:
            body["messages"] = messages(prompt)
        elif isinstance(prompt, Chat):
            raise ValueError("a chat cannot be sent to /completions: set engine.openai.api=chat, or prompts.style=bare")
        else:
            body["prompt"] = prompt
        body |= {"max_tokens": request.max_tokens, "temperature": request.temperature, "top_p": request.top_p}
        body["seed"] = seed_of(request.key)
        if request.stop:
            body["stop"] = list(request.stop[:MOST_STOPS])
        if request.min_tokens:
            body["min_tokens"] = request.min_tokens  # vLLM's
        if server.logprobs:
            body["logprobs"] = True if chat else 1
        if isinstance(prompt, Chat):
            body["chat_template_kwargs"] = {"enable_thinking": prompt.thinking}
            if prompt.schema:
                form = {"name": "reply", "strict": True, "schema": json.loads(prompt.schema)}
                body["response_format"] = {"type": "json_schema", "json_schema": form}
        return {k: v for k, v in (body | server.extra).items() if v is not None}

    def sent_tokens(self, request: Request) -> int:
        """The most tokens that the prompt of a request can have: one a byte, and what the server's template adds."""
        return len(json.dumps(self.body(request), ensure_ascii=False).encode("utf-8", "replace")) + MOST_ADDED

    def most_tokens(self, request: Request, said: str) -> int:
        """The most tokens that a completion can have: those allowed, or one a byte, and thoughts that are not sent."""
        body = self.body(request)
        allowed = [body.get(name) for name in ("max_tokens", "max_completion_tokens")]
        most = max([request.max_tokens, *(n for n in allowed if type(n) is int)])
        return max(most, len(said.encode("utf-8", "replace"))) + MOST_ADDED

    def _plausible(self, name: str, count: int | None, most: int, some: object) -> int | None:
        """The server's count; None, with one note for each name, if it cannot be right."""
        if count is None or (count <= most and not (count == 0 and some)):
            return count
        if name not in self._implausible:
            self._implausible.add(name)
            LOG.warning(
                "note: %s reports usage.%s=%s, which cannot be right (%s); such counts are replaced by our own",
                self.server.url,
                name,
                count if count < 2**63 else "over 2^63",
                f"at most {most:,}" if count else "it is not empty",
            )
        return None

    def digest(self, request: Request) -> str:
        """SHA-256 of everything that determines the completion: path, body and stop strings."""
        sent = json.dumps([self._path, self.body(request), request.stop], sort_keys=True)
        return hashlib.sha256(sent.encode()).hexdigest()

    async def _count(self, session: Session, text: str) -> int:
        if text not in self._counts:
            count = estimate_tokens(text)
            if self._tokenizes:
                body = {"model": self.server.model, "prompt": text, "add_special_tokens": False}
                most = len(text.encode("utf-8", "replace")) + MOST_ADDED

                def read(answer: Any) -> int:
                    return read_count(answer, most)

                try:
                    count = await session.ask(self.server.url.removesuffix("/v1") + "/tokenize", body, read, text)
                except RefusedError:
                    self._tokenizes = False
            self._counts[text] = count
        return self._counts[text]


def messages(prompt: Prompt) -> list[dict[str, str]]:
    """A prompt as the messages of a chat; a text is what its user says."""
    if not isinstance(prompt, Chat):
        return [{"role": "user", "content": prompt}]
    return [{"role": role, "content": text} for role, text in prompt.turns]


def estimate_tokens(text: str) -> int:
    """One token per word or per four bytes, whichever gives more."""
    return max(len(text.split()), math.ceil(len(text.encode("utf-8", "replace")) / 4))


def seed_of(key: str) -> int:
    """31 bits of the key's SHA-256: what all servers take as a seed."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") >> 1


def read_key(variable: str) -> str:
    """The key that an environment variable holds. Raises ValueError naming the variable, never showing the key."""
    if not variable:
        return ""
    key = os.environ.get(variable, "").strip()
    if not key or not key.isascii() or not key.isprintable():
        what = "holds no printable key" if key else "is not set"
        raise ValueError(f"the environment variable {variable} {what}: it should hold the server's API key")
    return key


def read_models(answer: Any) -> list[str]:
    """The names in an answer to /models. Raises ValueError for any other answer."""
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, list):
        raise ValueError("no list of models")
    return [one_line(m["id"]) for m in data if isinstance(m, dict) and isinstance(m.get("id"), str)]


def read_count(answer: Any, most: int) -> int:
    """The count in an answer to /tokenize. Raises RefusedError for an answer of another kind, or more than `most`."""
    count = _tokens(answer, "count")
    if count is None or count > most:
        raise RefusedError("/tokenize gives no count")
    return count


def read_answer(answer: Any, chat: bool) -> _Answer:
    """The first choice of an answer. Raises ValueError, saying what is missing, for one that holds no completion, and
    AnsweredError for one that the server could not finish."""
    choices = answer.get("choices") if isinstance(answer, dict) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise ValueError("it has no choices")
    choice = choices[0]
    if error := choice_error(choice):
        raise AnsweredError(error)
    holder = choice.get("message") if chat else choice
    if not isinstance(holder, dict):
        raise ValueError("its choice has no text")
    text, thought = _message(holder) if chat else (holder.get("text"), "")
    if not isinstance(text, str):
        raise ValueError("its choice has no text")
    finish, usage = choice.get("finish_reason"), answer.get("usage")
    return _Answer(
        text.encode("utf-8", "replace").decode("utf-8"),  # no lone surrogates: what is stored must be storable
        thought,
        finish if isinstance(finish, str) else None,
        _tokens(usage, "prompt_tokens"),
        _tokens(usage, "completion_tokens"),
        _logprob(choice.get("logprobs"), chat),
    )


def _message(message: dict[str, Any]) -> tuple[Any, str]:
    """What a chat's message says, and what was thought before. Who declines says that; who only thought, or called a
    tool that nobody offered, says nothing."""
    content, thought = message.get("content"), [message.get(k) for k in THOUGHT]
    if isinstance(content, list):
        parts = [p for p in content if isinstance(p, dict)]
        thought += [p.get("thinking") for p in parts]
        content = "".join(t for p in parts if isinstance(t := p.get("text"), str))
    if not content and isinstance(message.get("refusal"), str):
        content = message["refusal"]
    if content is None and any(k in message for k in ("content", "tool_calls", *THOUGHT)):
        content = ""
    return content, next((t for t in thought if isinstance(t, str)), "")


def _tokens(found: Any, name: str) -> int | None:
    value = found.get(name) if isinstance(found, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _logprob(found: Any, chat: bool) -> float:
    """The sum over the tokens; nan, which is stored as NULL, where the server gives none."""
    items = found.get("content" if chat else "token_logprobs") if isinstance(found, dict) else None
    if chat and isinstance(items, list):
        items = [i.get("logprob") if isinstance(i, dict) else None for i in items]
    if not isinstance(items, list) or not items or not all(type(i) in (int, float) and abs(i) < 1e9 for i in items):
        return math.nan  # nan and inf are not below the bound
    return float(sum(items))
