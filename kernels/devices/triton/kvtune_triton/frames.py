"""Messages over pipes: one JSON document a line, followed by as many raw bytes as its field "bytes" says (or none)."""

import json
import os
import queue
import sys
import threading


def take_stdout():
    """The pipe to the caller. What libraries print goes to stderr from here on, where it breaks no message."""
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return pipe


class Channel:
    """Requests in the order they came, and replies."""

    def __init__(self):
        self._out = take_stdout()
        self._requests = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        source = sys.stdin.buffer
        while line := source.readline():
            request = json.loads(line)
            self._requests.put((request, source.read(request.get("bytes", 0))))
        # The caller is gone: nothing that still runs, and no driver that hangs, may outlive it.
        os._exit(0)

    def receive(self):
        """The next request and its bytes."""
        return self._requests.get()

    def send(self, message, chunks=()):
        """Sends a message, and the bytes of `chunks` after it."""
        size = sum(len(chunk) for chunk in chunks)
        if size:
            message = {**message, "bytes": size}
        self._out.write(json.dumps(message).encode() + b"\n")
        for chunk in chunks:
            self._out.write(chunk)
        self._out.flush()
