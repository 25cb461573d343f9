"""Tensors by name: inputs as they came, buffers of programs, and as many copies as keep a cache cold."""

import math

import torch

TYPES = {
    "f32": torch.float32,
    "f16": torch.float16,
    "bf16": torch.bfloat16,
    "u32": torch.uint32,
    "i32": torch.int32,
    "u8": torch.uint8,
    "e4m3": torch.float8_e4m3fn,
}

# All copies of the rotating inputs together are at least so many times the L2 cache, and so many bytes.
L2_TIMES = 5
ROTATED_BYTES = 300e6
MAX_COPIES = 1024
# Device memory that rotation leaves to programs and to the driver.
LEFT_FREE = 1 << 30


class Inputs:
    """Inputs on a device. Each is bytes; a launch says what type they are."""

    def __init__(self, device, tensors, payload, l2_bytes):
        self._device = device
        self._l2_bytes = l2_bytes
        self._copies = {}
        self._rotating = []
        payload = bytearray(payload)
        at = 0
        for tensor in tensors:
            size = tensor["dataBytes"]
            whole = torch.empty(tensor["tensorBytes"], dtype=torch.uint8, device=device)
            if size:
                whole[:size] = torch.frombuffer(payload, dtype=torch.uint8, count=size, offset=at).to(device)
            at += size
            # What is there doubles, so that a long repetition takes few copies.
            filled = size
            while 0 < filled < len(whole):
                more = min(filled, len(whole) - filled)
                whole[filled : filled + more] = whole[:more]
                filled += more
            self._copies[tensor["name"]] = [whole]
            if tensor["rotates"]:
                self._rotating.append(tensor["name"])

    def __contains__(self, name):
        return name in self._copies

    def bytes_of(self, name, copy):
        copies = self._copies[name]
        return copies[copy % len(copies)]

    def rotate(self):
        """Makes the copies that a cold cache needs; gives how many there are and how many were wanted."""
        size = sum(len(self._copies[name][0]) for name in self._rotating)
        if self._device == "cpu" or size == 0:
            return 1, 1
        have = len(self._copies[self._rotating[0]])
        free = torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
        wanted = min(MAX_COPIES, math.ceil(max(ROTATED_BYTES, L2_TIMES * self._l2_bytes) / size))
        count = min(wanted, have + max(0, int((free - LEFT_FREE) // size)))
        for name in self._rotating:
            copies = self._copies[name]
            copies.extend(copies[0].clone() for _ in range(count - len(copies)))
        return max(count, have), wanted


def view(data, type_name, shape=None):
    """Bytes as a tensor of a type, flat unless a shape is given."""
    typed = data.view(TYPES[type_name])
    return typed if shape is None else typed.view(shape)


def raw(tensor):
    """The bytes of a tensor that lies anywhere."""
    return tensor.cpu().contiguous().view(torch.uint8).numpy().tobytes()
