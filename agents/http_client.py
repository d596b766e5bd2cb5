"""One JSON server over HTTP: tries, waits, and errors that say what to do.

What may pass (no connection, a cut one, no answer in time, status 408, 425, 429 and 5xx, an answer that cannot be read)
is tried again after waits that double, with jitter counted from the request's key, and no sooner than a Retry-After
asks. While a Retry-After runs, nothing else is sent either. What will not pass is raised at once. Left out: redirects,
streaming.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import httpx2

from agents.engine import counted_noise

T = TypeVar("T")
FIRST_WAIT = 0.5  # seconds before the second try; doubled for each further one
LONGEST_WAIT = 30.0
LARGEST = 32_000_000  # bytes of an answer, unpacked; what goes on beyond them is not read
LONGEST_ASKED = 600.0  # a Retry-After beyond this ends the run, to be gone on with later
PASSING = (408, 425, 429)  # and 5xx


class GaveUpError(OSError):
    """The server did not answer as it should in all tries."""


class CutShortError(GaveUpError):
    """There was no time for a further try."""


class RefusedError(ValueError):
    """The server understood and said no: asking again would not help. `status` is its answer's, 0 if there is none."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Endpoint:
    """Where to ask and how patiently. `key` is sent as a bearer token if there is one, and shown nowhere."""

    url: str
    key: str = field(default="", repr=False)
    connections: int = 32
    retries: int = 6
    timeout_s: float = 120.0


class Session:
    """A stretch of asking with connections kept open; an async context manager."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        headers = {"Authorization": f"Bearer {endpoint.key}"} if endpoint.key else {}
        limits = httpx2.Limits(max_connections=endpoint.connections, max_keepalive_connections=endpoint.connections)
        self._client = httpx2.AsyncClient(headers=headers, timeout=None, limits=limits)
        self._pauses = 0
        self._ending = asyncio.Event()
        self._open = asyncio.Event()
        self._open.set()

    async def __aenter__(self) -> Session:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *what: Any) -> None:
        await self._client.__aexit__(*what)

    def end_tries(self) -> None:
        """From now on only tries under way come to their end; whatever waits for another raises CutShortError."""
        self._ending.set()

    async def ask(
        self, url: str, body: dict[str, Any] | None, read: Callable[[Any], T], key: str, retries: int | None = None
    ) -> T:
        """What `read` makes of the JSON answer to a POST of `body` (None: a GET).

        `read` raises ValueError for an answer that cannot be used, which is a failed try. Raises RefusedError at once
        for what will not pass, and GaveUpError after all tries.
        """
        endpoint = self.endpoint
        tries = 1 + (endpoint.retries if retries is None else retries)
        jitter = counted_noise([f"{key}/wait"], tries)[0]
        last = ""
        for number in range(tries):
            await self._open.wait()
            if self._ending.is_set():
                raise CutShortError(f"{url} was not asked again: {last or 'the batch had ended'}")
            asked = None
            try:
                async with asyncio.timeout(endpoint.timeout_s):
                    response, content = await self._answer(url, body)
                if response.status_code == 200:
                    return read(json.loads(content))
                last = f"status {response.status_code}{self._said(content)}"
                if response.status_code not in PASSING and response.status_code < 500:
                    raise RefusedError(f"{url} answers {last}{_advice(response)}", response.status_code)
                asked = _retry_after(response)
            except RefusedError:
                raise
            except TimeoutError:
                last = f"no whole answer in {endpoint.timeout_s:g} s"
            except httpx2.HTTPError as error:
                last = f"{type(error).__name__} ({error})" if str(error) else type(error).__name__
            except (ValueError, RecursionError) as error:
                last = f"an answer that cannot be used ({_one_line(str(error))})"
            if asked is not None and asked > LONGEST_ASKED:
                raise GaveUpError(f"{url} asks to wait {asked:,.0f} s: {last}")
            if number + 1 < tries:
                await self._wait(min(FIRST_WAIT * 2**number, LONGEST_WAIT) * (0.5 + float(jitter[number])), asked)
        raise GaveUpError(f"{url} failed {tries} times, at last with {last}")

    async def _answer(self, url: str, body: dict[str, Any] | None) -> tuple[httpx2.Response, bytes]:
        """One answer with its body. Raises ValueError for one that is larger than LARGEST, as soon as it is."""
        found, size = list[bytes](), 0
        async with self._client.stream("GET" if body is None else "POST", url, json=body) as response:
            async for piece in response.aiter_bytes():
                size += len(piece)
                if size > LARGEST:
                    raise ValueError(f"it has more than {LARGEST:,} bytes")
                found.append(piece)
        return response, b"".join(found)

    async def _wait(self, seconds: float, asked: float | None) -> None:
        if asked is None:
            await self._nap(seconds)
            return
        self._pauses += 1
        self._open.clear()
        try:
            await self._nap(max(seconds, asked))
        finally:
            self._pauses -= 1
            if not self._pauses:
                self._open.set()

    async def _nap(self, seconds: float) -> None:
        """Sleep, unless tries end meanwhile."""
        both = [asyncio.ensure_future(asyncio.sleep(seconds)), asyncio.ensure_future(self._ending.wait())]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in both:
                one.cancel()

    def _said(self, content: bytes) -> str:
        """The server's own words on an error, in one line and without the key."""
        text = content[:100_000].decode("utf-8", "replace")
        try:
            found = json.loads(text)
            found = found.get("error", found)
            text = str(found.get("message") or found.get("detail") or found) if isinstance(found, dict) else str(found)
        except (ValueError, AttributeError, RecursionError):
            pass
        if self.endpoint.key:
            text = text.replace(self.endpoint.key, "***")
        return f" ({_one_line(text)})" if text.strip() else ""


def run(asking: Callable[[Session], Any], endpoint: Endpoint) -> Any:
    """Run one stretch of asking to its end, also where an event loop runs already, as in a notebook."""

    async def stretch() -> Any:
        async with Session(endpoint) as session:
            return await asking(session)

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(stretch())
    with ThreadPoolExecutor(1) as other:
        return other.submit(asyncio.run, stretch()).result()


def _advice(response: httpx2.Response) -> str:
    status = response.status_code
    if status in (401, 403):
        return ": it wants a valid key; api_key_env names the environment variable that holds it"
    if status in (404, 405):
        return ": is the url right (most end in /v1), and the model's name?"
    if 300 <= status < 400:
        return f": it has moved to {_one_line(response.headers.get('location', 'somewhere'))}"
    return ""


def _retry_after(response: httpx2.Response) -> float | None:
    """Seconds that the server asks to wait; a date is read against the server's own clock."""
    value = response.headers.get("retry-after", "")
    try:
        seconds = float(value)
    except ValueError:
        try:
            until, now = (parsedate_to_datetime(x) for x in (value, response.headers.get("date", "")))
            seconds = (until - now).total_seconds()
        except (ValueError, TypeError, OverflowError):
            return None
    return seconds if seconds >= 0 else None


def _one_line(text: str) -> str:
    line = " ".join("".join(c if c.isprintable() else " " for c in text[:1000]).split())
    return line if len(line) <= 200 else line[:197] + "..."
