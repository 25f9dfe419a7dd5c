"""As much of HTTP/1.1 (RFC 9112) as the API server needs of a client."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from sluice_activator.kubernetes.account import Account

# Requests under way at once, watches and lists not counted.
_CONCURRENT: Final = 16
_IDLE_MAX: Final = 4
_CONNECT_WITHIN: Final = 5.0
# A line of a head; the API server's heads are short.
_HEAD_MAX: Final = 1 << 16
# A half-dead connection must not outlive a wake: noticed after 30 seconds.
_KEEPALIVE: Final = ((socket.TCP_KEEPIDLE, 15), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3))


class ApiError(Exception):
    """No answer of use; `status` is 0 if there was none at all."""

    def __init__(self, problem: str, status: int = 0):
        super().__init__(problem)
        self.status = status


@dataclass(frozen=True, slots=True)
class Ask:
    """A request: verb, path with its query, and a body with its type."""

    verb: str
    path: str
    body: bytes = b""
    content_type: str = ""

    def render(self, host: str, token: str) -> bytes:
        lines = [
            f"{self.verb} {self.path} HTTP/1.1",
            f"Host: {host}",
            f"Authorization: Bearer {token}",
            "Accept: application/json",
            "User-Agent: sluice-activator",
        ]
        if self.body:
            lines += [f"Content-Type: {self.content_type}", f"Content-Length: {len(self.body)}"]
        return "\r\n".join((*lines, "", "")).encode("latin-1") + self.body


@dataclass(frozen=True, slots=True)
class Reply:
    """Status and body."""

    status: int
    body: bytes


FAILURES: Final = (OSError, EOFError, asyncio.LimitOverrunError, ApiError)
"""What an API server that is away, or none, makes of a request."""


def problem(error: BaseException) -> str:
    """For people; empty messages are common among these."""
    if isinstance(error, TimeoutError):
        return "the Kubernetes API does not answer in time"
    return f"the Kubernetes API cannot be reached ({str(error) or type(error).__name__})"


class Connection:
    """One connection to the API server, for one request after another."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self._reader = reader
        self._writer = writer
        self._headers: Mapping[str, str] = {}

    @property
    def usable(self) -> bool:
        """Whether it may take another request: as far as one can tell without asking."""
        kept = self._headers.get("connection", "").lower() != "close"
        return kept and not self._reader.at_eof() and not self._writer.is_closing()

    async def begin(self, ask: Ask, account: Account) -> int:
        """Sends the request and reads the head of its answer: the status."""
        host = f"[{account.host}]" if ":" in account.host else account.host
        self._writer.write(ask.render(f"{host}:{account.port}", account.token()))
        await self._writer.drain()
        status, self._headers = _parse_head(await self._reader.readuntil(b"\r\n\r\n"))
        return status

    async def body(self) -> bytes:
        """All that follows the head."""
        return b"".join([piece async for piece in self.pieces()])

    async def pieces(self) -> AsyncIterator[bytes]:
        """What follows the head, as it comes."""
        if self._headers.get("transfer-encoding", "").lower() != "chunked":
            yield await self._reader.readexactly(int(self._headers.get("content-length", "0")))
            return
        while size := _chunk_size(await self._reader.readuntil(b"\r\n")):
            yield await self._reader.readexactly(size)
            await self._reader.readexactly(2)
        # No trailers: the API server sends none without being asked (TE: trailers).
        await self._reader.readuntil(b"\r\n")

    def close(self) -> None:
        # Without TLS's farewell: nobody waits for it.
        self._writer.transport.abort()


def _parse_head(head: bytes) -> tuple[int, Mapping[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdecimal():
        raise ApiError(f"no HTTP/1.1: {first[:100]!r}")
    fields = (line.partition(":") for line in lines if line)
    return int(words[1]), {name.lower(): value.strip() for name, _, value in fields}


def _chunk_size(line: bytes) -> int:
    try:
        return int(line.split(b";")[0], 16)
    except ValueError:
        raise ApiError(f"no chunk: {line[:100]!r}") from None


class Http:
    """Connections to the API server: kept for the next request where they can be."""

    def __init__(self, account: Account, count: Callable[[str, str], None]):
        """`count(verb, status)` is called once for each request; `failed` if none answered."""
        self._account = account
        self._count = count
        self._idle: list[Connection] = []
        self._turns = asyncio.Semaphore(_CONCURRENT)

    async def ask(self, ask: Ask, seconds: float) -> Reply:
        """The whole answer, whatever its status. Raises ApiError for none within `seconds`.

        Asked again where a connection that was kept turns out to be closed: safe, for
        everything asked here may be asked twice.
        """
        async with self._turns:
            try:
                async with asyncio.timeout(seconds):
                    reply = await self._on_kept(ask) or await self._on_new(ask)
            except FAILURES as error:
                self._count(ask.verb, "failed")
                raise ApiError(problem(error)) from error
        self._count(ask.verb, str(reply.status))
        return reply

    @contextlib.asynccontextmanager
    async def stream(self, ask: Ask, seconds: float) -> AsyncIterator[AsyncIterator[bytes]]:
        """The body as it comes, on a connection of its own; `seconds` until its head is here.

        Raises ApiError for another status than 200, and for no answer at all.
        """
        try:
            async with asyncio.timeout(seconds):
                connection = await self._connect()
                status = await self._begin(connection, ask)
        except FAILURES as error:
            self._count(ask.verb, "failed")
            raise ApiError(problem(error)) from error
        self._count(ask.verb, str(status))
        with contextlib.closing(connection):
            if status != 200:
                raise ApiError(f"status {status}", status)
            yield connection.pieces()

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    async def _on_kept(self, ask: Ask) -> Reply | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.usable:
                connection.close()
                continue
            with contextlib.suppress(OSError, EOFError):
                return await self._on(connection, ask)
        return None

    async def _on_new(self, ask: Ask) -> Reply:
        return await self._on(await self._connect(), ask)

    async def _on(self, connection: Connection, ask: Ask) -> Reply:
        status = await self._begin(connection, ask)
        with _closed_on_failure(connection):
            reply = Reply(status, await connection.body())
        if connection.usable and len(self._idle) < _IDLE_MAX:
            self._idle.append(connection)
        else:
            connection.close()
        return reply

    async def _begin(self, connection: Connection, ask: Ask) -> int:
        with _closed_on_failure(connection):
            return await connection.begin(ask, self._account)

    async def _connect(self) -> Connection:
        account = self._account
        async with asyncio.timeout(_CONNECT_WITHIN):
            reader, writer = await asyncio.open_connection(
                account.host, account.port, ssl=account.context(), limit=_HEAD_MAX
            )
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
        return Connection(reader, writer)


@contextlib.contextmanager
def _closed_on_failure(connection: Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise
