"""Stands between a box and its bucket, and does to requests what networks and servers do to them.

A fault is drawn for each request from the given ones, in a share of all; without faults everything
passes. Faults:
  500, 503     answered so, and not passed on
  lost         not passed on, and the connection is closed
  unanswered   passed on, and the connection is closed instead of the answer: it took effect
  slow         the answer's body trickles
  short        the connection is closed in the middle of the answer's body
  corrupt      bits of the answer's body are flipped, where it is an object's data
  hang         neither passed on nor answered
"""

import asyncio
import contextlib
import random
import threading

HEAD_BYTES_MAX = 1 << 16
SLOW_PIECES = 8
SLOW_REST = 0.05


class Proxy:
    """`with Proxy(port, seed) as proxy: ... proxy.faults = ['lost']; proxy.share = 0.1`."""

    def __init__(self, port, seed):
        self.to = port
        self.random = random.Random(seed)
        self.faults, self.share = [], 0.0
        self.coming = []
        # Which requests faults are for, by their head; all where there is none.
        self.concerns = None
        self.seen = {}
        self.requests = 0

    def __enter__(self):
        self.loop = asyncio.new_event_loop()
        started = threading.Event()
        self.thread = threading.Thread(target=self.run, args=(started,), daemon=True)
        self.thread.start()
        started.wait()
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()

    def run(self, started):
        """The proxy's own thread."""
        asyncio.set_event_loop(self.loop)
        serving = asyncio.start_server(self.serve, '127.0.0.1', 0, limit=HEAD_BYTES_MAX)
        server = self.loop.run_until_complete(serving)
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        self.loop.run_forever()
        server.close()
        left = asyncio.all_tasks(self.loop)
        for task in left:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self.loop.close()

    def draw(self, head):
        """The fault of one request, or None."""
        self.requests += 1
        if not self.faults or (self.concerns and not self.concerns(head)) or self.random.random() >= self.share:
            return None
        # Each once before any comes again.
        if not self.coming:
            self.coming = self.random.sample(self.faults, len(self.faults))
        fault = self.coming.pop()
        self.seen[fault] = self.seen.get(fault, 0) + 1
        return fault

    async def serve(self, reader, writer):
        """One connection of the box."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while await self.exchange(reader, writer):
                pass
        writer.close()

    async def exchange(self, reader, writer):
        """One request and its answer; whether another may follow."""
        head, length = await read_head(reader)
        body = await reader.readexactly(length)
        fault = self.draw(head)
        if fault == 'lost':
            return False
        if fault == 'hang':
            await asyncio.sleep(3600)
        if fault in ('500', '503'):
            text = b'<Error><Code>SlowDown</Code><Message>told to</Message></Error>'
            writer.write(b'HTTP/1.1 %s Told To\r\nContent-Length: %d\r\n\r\n' % (fault.encode(), len(text)) + text)
            await writer.drain()
            return True
        to_reader, to_writer = await asyncio.open_connection('127.0.0.1', self.to, limit=HEAD_BYTES_MAX)
        try:
            to_writer.write(head.replace(b'\r\n', b'\r\nConnection: close\r\n', 1) + body)
            await to_writer.drain()
            answer, _ = await read_head(to_reader)
            data = b'' if head.startswith(b'HEAD ') else await read_body(to_reader, answer)
        finally:
            to_writer.close()
        if fault == 'unanswered':
            return False
        return await self.answer(writer, head, answer, data, fault)

    async def answer(self, writer, head, answer, data, fault):
        """Sends an answer on, or what is left of it."""
        lines = [line for line in answer.split(b'\r\n')
                 if not line.lower().startswith((b'connection:', b'transfer-encoding:'))]
        if not head.startswith(b'HEAD ') and not any(line.lower().startswith(b'content-length:') for line in lines):
            lines.insert(1, b'Content-Length: %d' % len(data))
        is_range = b'\r\nrange:' in head.lower()
        if fault == 'corrupt' and is_range and data:
            data = bytearray(data)
            for _ in range(3):
                data[self.random.randrange(len(data))] ^= 1 << self.random.randrange(8)
            data = bytes(data)
        writer.write(b'\r\n'.join(lines))
        if fault == 'short' and data:
            writer.write(data[:len(data) // 2])
            await writer.drain()
            return False
        if fault == 'slow':
            step = len(data) // SLOW_PIECES + 1
            for at in range(0, len(data), step):
                writer.write(data[at:at + step])
                await writer.drain()
                await asyncio.sleep(SLOW_REST)
        else:
            writer.write(data)
        await writer.drain()
        return True


async def read_head(reader):
    """A head with its empty line, and the length of the body it tells of."""
    while True:
        head = await reader.readuntil(b'\r\n\r\n')
        if not head.startswith(b'HTTP/1.1 100'):
            break
    length = 0
    for line in head.split(b'\r\n'):
        name, _, value = line.partition(b':')
        if name.lower() == b'content-length':
            length = int(value)
    return head, length


async def read_body(reader, head):
    """An answer's body, whole."""
    if b'transfer-encoding: chunked' in head.lower():
        data = b''
        while size := int((await reader.readuntil(b'\r\n')).split(b';')[0], 16):
            data += await reader.readexactly(size)
            await reader.readexactly(2)
        return data
    if b'content-length:' not in head.lower():
        return await reader.read()
    length = [line for line in head.split(b'\r\n') if line.lower().startswith(b'content-length:')][0]
    return await reader.readexactly(int(length.split(b':')[1]))
