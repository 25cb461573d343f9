"""Answers requests: one device, its inputs, and the programs built over them."""

import torch
import triton

from kvtune_triton import device as devices
from kvtune_triton.environment import interpreted
from kvtune_triton.program import Program, compile_ahead, module_at, warm
from kvtune_triton.tensors import Inputs
from kvtune_triton.timing import time_on_cpu, time_on_cuda


class Server:
    def __init__(self):
        self._inputs = None
        self._programs = {}
        self._l2_bytes = 0

    def answer(self, request, payload):
        """A reply and the chunks of bytes that follow it. Errors are replies."""
        try:
            operation = getattr(self, f"_{request['op']}")
            return operation(request, payload)
        except Exception as error:  # The caller decides what an error means.
            # A fault on the device, in PyTorch's words or Triton's, poisons its context: only a new process helps.
            fatal = "CUDA error" in str(error) or "Triton Error [CUDA]" in str(error)
            return {"error": _line(error), "building": request["op"] in ("build", "ahead"), "fatal": fatal}, ()

    def _list(self, _request, _payload):
        return {"devices": devices.list_devices()}, ()

    def _open(self, request, _payload):
        found = devices.list_devices()
        index = request["device"]
        if index >= len(found):
            raise RuntimeError(f"Cannot open Triton device {index}: there are {len(found)}")
        if not interpreted():
            torch.cuda.set_device(index)
        self._l2_bytes = found[index]["limits"].get("l2Bytes", 0)
        return {"device": found[index]}, ()

    def _load(self, request, payload):
        self._unload(request, payload)
        device = "cpu" if interpreted() else "cuda"
        self._inputs = Inputs(device, request["tensors"], payload, self._l2_bytes)
        return {}, ()

    def _unload(self, _request, _payload):
        self._programs.clear()
        self._inputs = None
        if not interpreted():
            torch.cuda.empty_cache()
        return {}, ()

    def _build(self, request, _payload):
        program = Program(request["program"], self._inputs, "cpu" if interpreted() else "cuda")
        facts = program.build()
        self._programs[request["program_id"]] = program
        return facts, ()

    def _run(self, request, _payload):
        outputs = self._programs[request["program_id"]].run()
        return {"sizes": [len(output) for output in outputs]}, outputs

    def _time(self, request, _payload):
        programs = [self._programs[key] for key in request["programs"]]
        if interpreted():
            return {"samples": time_on_cpu(programs, request["samples"]), "warnings": []}, ()
        copies, wanted = self._inputs.rotate() if request["coldCache"] else (1, 1)
        warnings = [f"warm cache: {copies} of {wanted} copies of the inputs fit into free memory"] * (copies < wanted)
        samples = time_on_cuda(programs, copies, request["samples"], request["sampleUs"])
        return {"samples": samples, "warnings": warnings}, ()

    def _drop(self, request, _payload):
        self._programs.pop(request["program_id"], None)
        return {}, ()

    def _target(self, request, _payload):
        return {"device": devices.target(request["arch"])}, ()

    def _ahead(self, request, _payload):
        return {"build": compile_ahead(request["program"], request["arch"])}, ()

    def _warm(self, request, _payload):
        """For a device that another process has: what is compiled here, it finds on disk."""
        if torch.cuda.current_device() != request["device"]:
            torch.cuda.set_device(request["device"])
        return {"hashes": warm(request["program"])}, ()

    def _call(self, request, _payload):
        """Any function of a kernel's module that needs no device: what it returns is the reply."""
        function = getattr(module_at(request["module"]), request["function"])
        return {"result": function(**request["args"])}, ()


def _line(error):
    """What went wrong: Triton's own errors say it at their end, below the source line that they quote."""
    text = str(error).strip() or type(error).__name__
    cause = error.__cause__
    if isinstance(error, triton.CompilationError) and cause is not None:
        text = f"{text}: {cause}"
    return text if isinstance(error, (RuntimeError, ValueError)) else f"{type(error).__name__}: {text}"
