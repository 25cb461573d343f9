"""Serves one caller until its pipe closes: `python3 -m kvtune_triton`, in the folder that has the package."""

import os
import sys

# A caller that may not pass the dynamic linker's folders on gives them another name; the linker reads its own only as a
# process starts.
if "KVTUNE_LIBRARY_PATH" in os.environ and "LD_LIBRARY_PATH" not in os.environ:
    os.environ["LD_LIBRARY_PATH"] = os.environ["KVTUNE_LIBRARY_PATH"]
    os.execv(sys.executable, [sys.executable, "-u", "-m", "kvtune_triton"])

from kvtune_triton.frames import Channel  # noqa: E402
from kvtune_triton.environment import MissingError, examine  # noqa: E402


def main():
    channel = Channel()
    try:
        toolchain = examine()
    except MissingError as missing:
        channel.send({"missing": str(missing)})
        return
    channel.send({"ready": toolchain})
    from kvtune_triton.server import Server

    server = Server()
    while True:
        request, payload = channel.receive()
        message, chunks = server.answer(request, payload)
        channel.send(message, chunks)
        if message.get("fatal"):
            return


main()
