"""HTTP client for a JSON server: retries, waits, and errors with advice.

Transient failures (no connection, a dropped one, a timeout, status 408, 425, 429 and 5xx, an error of that kind in an
answer with status 200, an unreadable answer) are retried with exponential backoff and jitter derived from the request's
key, not before the time in Retry-After. While a Retry-After is in effect, no other request is sent. Permanent failures
are raised immediately. Left out: redirects, streaming.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import httpx2

from agents.engine import counted_noise
from agents.server_answer import AnsweredError, PageError, ServerError, find_error, load_json, nearest_url

T = TypeVar("T")
C = TypeVar("C", httpx2.AsyncClient, httpx2.Client)
FIRST_WAIT = 0.5  # seconds before the first retry; doubled for each further one
LONGEST_WAIT = 30.0
LARGEST = 32_000_000  # maximum size of an answer in bytes, decompressed; reading stops beyond it
LONGEST_ASKED = 600.0  # seconds; a longer Retry-After ends the run, which can be resumed later


class GaveUpError(OSError):
    """All attempts at a request failed."""


class CutShortError(GaveUpError):
    """A request was cancelled before its next attempt, because the session is ending."""


class RefusedError(ValueError):
    """The server rejected the request; a retry would not help. `status` is the HTTP status, 0 if there is none."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Endpoint:
    """Address and limits of a server. `key`, if not empty, is sent as a bearer token and never displayed."""

    url: str
    key: str = field(default="", repr=False)
    connections: int = 32
    retries: int = 6
    timeout_s: float = 120.0


class Session:
    """A session with persistent connections; an async context manager."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        headers = {"Authorization": f"Bearer {endpoint.key}"} if endpoint.key else {}
        limits = httpx2.Limits(max_connections=endpoint.connections, max_keepalive_connections=endpoint.connections)
        self._client = make_client(httpx2.AsyncClient, headers=headers, timeout=None, limits=limits)
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
        """Start no more attempts. Running ones finish; requests that wait for another one raise CutShortError."""
        self._ending.set()

    async def ask(
        self, url: str, body: dict[str, Any] | None, read: Callable[[Any], T], key: str, retries: int | None = None
    ) -> T:
        """Send a request and return its answer as parsed by `read`.

        Args:
            url: address.
            body: JSON body of a POST; None sends a GET.
            read: converts the JSON answer; raises ValueError if it is unusable, which counts as a failed attempt.
            key: identifies the request; its jitter depends on it alone.
            retries: number of retries (default: that of the endpoint).

        Raises:
            RefusedError: a permanent failure.
            GaveUpError: all attempts failed, or the server asks to wait too long.
            CutShortError: `end_tries` was called.
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
                status = response.status_code
                if status == 200:
                    answer = load_json(content)
                    if error := find_error(answer):
                        raise AnsweredError(error)
                    return read(answer)
                error = self._error(content, status)
                last = f"status {status}{self._quoted(error.message)}"
                if not error.passes:
                    raise RefusedError(f"{url} answers {last}{self._advice(response, status)}", status)
                asked = _retry_after(response)
            except RefusedError:
                raise
            except AnsweredError as raised:
                error = raised.error
                last = f"status 200 and an error{self._quoted(error.message)}"
                if not error.passes:
                    advice = self._advice(response, error.status) if error.status else self._nearest()
                    raise RefusedError(f"{url} answers {last}{advice}", error.status) from None
                asked = _retry_after(response)
            except PageError as page:
                last = f"{self._hidden(str(page))} in place of JSON{self._nearest()}"
            except TimeoutError:
                last = f"no whole answer in {endpoint.timeout_s:g} s"
            except httpx2.HTTPError as error:
                last = f"{type(error).__name__} ({error})" if str(error) else type(error).__name__
            except (ValueError, RecursionError) as error:
                last = f"an answer that cannot be used ({one_line(str(error))})"
            if asked is not None and asked > LONGEST_ASKED:
                raise GaveUpError(f"{url} asks to wait {asked:,.0f} s: {last}")
            if number + 1 < tries:
                await self._wait(min(FIRST_WAIT * 2**number, LONGEST_WAIT) * (0.5 + float(jitter[number])), asked)
        raise GaveUpError(f"{url} failed {tries} times, at last with {last}")

    async def _answer(self, url: str, body: dict[str, Any] | None) -> tuple[httpx2.Response, bytes]:
        """One answer with its body. Raises ValueError as soon as it is larger than `LARGEST`."""
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
        """Sleep until the time is over or the session ends."""
        both = [asyncio.ensure_future(asyncio.sleep(seconds)), asyncio.ensure_future(self._ending.wait())]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in both:
                one.cancel()

    def _error(self, content: bytes, status: int) -> ServerError:
        """The error of an answer with an error's status."""
        try:
            answer = load_json(content)
        except PageError as page:
            return ServerError(str(page) if content.strip() else "", status)
        found = find_error(answer) or ServerError(str(answer) if answer else "")
        return ServerError(found.message, status, found.kind)

    def _quoted(self, text: str) -> str:
        return f" ({self._hidden(text)})" if text.strip() else ""

    def _hidden(self, text: str) -> str:
        """A server's text on one line and without the key."""
        key = self.endpoint.key
        return one_line(text.replace(key, "***") if key else text)

    def _nearest(self) -> str:
        near = nearest_url(self.endpoint.url)
        return f"; did you mean the url {near}?" if near else ""

    def _advice(self, response: httpx2.Response, status: int) -> str:
        if status in (401, 403):
            return ": it wants a valid key; api_key_env names the environment variable that holds it"
        if status in (404, 405):
            return f": is the url right (most end in /v1), and the model's name?{self._nearest()}"
        if 300 <= status < 400:
            return f": it has moved to {one_line(response.headers.get('location', 'somewhere'))}"
        return ""


def run(asking: Callable[[Session], Any], endpoint: Endpoint) -> Any:
    """Run a coroutine function in a new session, also if an event loop is already running, as in a notebook."""

    async def stretch() -> Any:
        async with Session(endpoint) as session:
            return await asking(session)

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(stretch())
    with ThreadPoolExecutor(1) as other:
        return other.submit(asyncio.run, stretch()).result()


def make_client(kind: type[C], **options: Any) -> C:
    """A client. Raises ValueError that names the environment variable that it cannot work with."""
    try:
        return kind(**options)
    except ImportError:
        name = next((n for n in _proxies() if os.environ[n].strip().lower().startswith("socks")), "ALL_PROXY")
        raise ValueError(
            f"the environment variable {name} names a SOCKS proxy, which needs the package socksio: install it "
            f"(pip install socksio), or unset {name}"
        ) from None
    except OSError as error:
        names = [n for n in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(n)]  # a folder is not opened
        given = f"{names[0]}={os.environ[names[0]]}" if names else "the system's default"
        raise ValueError(f"certificates cannot be read from {given}: {error.strerror or error}") from None
    except (ValueError, httpx2.InvalidURL) as error:
        names = [n for n in _proxies() if not _is_proxy(os.environ[n])] or _proxies()
        raise ValueError(
            f"the environment variable {' or '.join(names)} holds no proxy address such as http://proxy.example:3128"
        ) from error


def _proxies() -> list[str]:
    """Names of the environment variables that name a proxy."""
    names = [name for scheme in ("http", "https", "all") for name in (f"{scheme}_proxy", f"{scheme}_proxy".upper())]
    return [name for name in names if os.environ.get(name)]


def _is_proxy(text: str) -> bool:
    try:
        httpx2.Proxy(text if "://" in text else f"http://{text}")
    except (ValueError, httpx2.InvalidURL):
        return False
    return True


def _retry_after(response: httpx2.Response) -> float | None:
    """Seconds to wait according to Retry-After, or None; a date is compared with the server's own clock."""
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


def one_line(text: str) -> str:
    line = " ".join("".join(c if c.isprintable() else " " for c in text[:1000]).split())
    return line if len(line) <= 200 else line[:197] + "..."
