"""Programs: launches of Triton kernels, or calls of Python functions, over named tensors."""

import importlib.util
import time

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime.jit import MockTensor

from kvtune_triton.environment import interpreted
from kvtune_triton.tensors import TYPES, raw, view

POINTERS = {"f32": "*fp32", "f16": "*fp16", "bf16": "*bf16", "u32": "*u32", "i32": "*i32", "u8": "*u8"}
# Launch options that Triton may not have, and that say nothing where they are off.
OPTIONAL = ("launch_pdl", "maxnreg")

_modules = {}


def module_at(path):
    """The Python module of a file; each file is loaded once."""
    if path not in _modules:
        spec = importlib.util.spec_from_file_location(path.rsplit("/", 1)[-1].removesuffix(".py"), path)
        _modules[path] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(_modules[path])
    return _modules[path]


def options_of(launch):
    return {name: value for name, value in launch["options"].items() if value or name not in OPTIONAL}


class Program:
    """A program over the inputs of a session."""

    def __init__(self, program, inputs, device):
        self._inputs = inputs
        self._outputs = program["outputs"]
        self._launches = program["launches"]
        self._functions = [getattr(module_at(launch["module"]), launch["function"]) for launch in self._launches]
        self._data = {}
        self._poisoned = []
        for spec in program["buffers"]:
            if "data" in spec:
                host = torch.tensor(spec["data"], dtype={"f32": torch.float32, "i32": torch.int32}[spec["type"]])
                self._data[spec["name"]] = host.view(torch.uint8).to(device)
            else:
                self._data[spec["name"]] = torch.empty(spec["bytes"], dtype=torch.uint8, device=device)
                self._poisoned.append(spec["name"])
        # Launches of each copy of the inputs, bound once: a graph repeats them.
        self._bound = {}

    def build(self):
        """Compiles. Gives what the compiler says of it, summed over the launches that are kernels."""
        started = time.perf_counter()
        build = {}
        for launch, function, arguments in zip(self._launches, self._functions, self._bind(0)):
            if launch.get("checkedOnly") or interpreted():
                continue
            if "grid" not in launch:  # A call compiles what it launches, over whatever the buffers hold.
                function(**arguments)
                torch.cuda.synchronize()
                continue
            kernel = function.warmup(**arguments, **options_of(launch), grid=tuple(launch["grid"]))
            kernel._init_handles()  # Finds what the device has too little of.
            name = launch["label"].replace(" ", "")
            build |= {f"{name}Registers": kernel.n_regs, f"{name}Spills": kernel.n_spills}
            build[f"{name}SharedBytes"] = kernel.metadata.shared
        return {"compileMs": (time.perf_counter() - started) * 1e3, "build": build}

    def launch(self, copy=0, timed=True):
        """Puts one run on the stream."""
        for launch, function, arguments in zip(self._launches, self._functions, self._bind(copy)):
            if timed and launch.get("checkedOnly"):
                continue
            if "grid" in launch:
                function[tuple(launch["grid"])](**arguments, **options_of(launch))
            else:
                function(**arguments)

    def run(self):
        """Runs once over poisoned buffers; gives the bytes of each output."""
        for name in self._poisoned:
            self._data[name].fill_(0xFF)
        self.launch(timed=False)
        return [raw(view(self._tensor(spec["name"], 0), spec["type"])) for spec in self._outputs]

    @property
    def launch_count(self):
        return len(self._launches)

    def _tensor(self, name, copy):
        return self._inputs.bytes_of(name, copy) if name in self._inputs else self._data[name]

    def _bind(self, copy):
        if copy not in self._bound:
            self._bound[copy] = [
                {name: self._value(argument, copy) for name, argument in launch["args"].items()}
                for launch in self._launches
            ]
        return self._bound[copy]

    def _value(self, argument, copy):
        if "tensor" in argument:
            return view(self._tensor(argument["tensor"], copy), argument["type"], argument.get("shape"))
        return _scalar(argument)


def warm(program):
    """Compiles a program's kernels into Triton's cache on disk, as a build over real tensors would; takes no memory there.

    Gives the kernels' hashes, by which the cache knows them.
    """
    hashes = []
    for launch in program["launches"]:
        if "grid" not in launch or launch.get("checkedOnly"):
            continue
        function = getattr(module_at(launch["module"]), launch["function"])
        # A stand-in begins at a multiple of 16 bytes, as torch's tensors do.
        arguments = {
            name: MockTensor(TYPES[argument["type"]]) if "tensor" in argument else _scalar(argument)
            for name, argument in launch["args"].items()
        }
        hashes.append(function.warmup(**arguments, **options_of(launch), grid=tuple(launch["grid"])).hash)
    return hashes


def compile_ahead(program, arch):
    """Compiles a program's kernels for a device that need not be here. Gives registers and shared memory by launch."""
    target = GPUTarget("cuda", int(arch.removeprefix("sm_")), 32)
    build = {}
    for launch in program["launches"]:
        function = getattr(module_at(launch["module"]), launch["function"])
        names, arguments = function.arg_names, launch["args"]
        constants = {name for name, param in zip(names, function.params) if param.is_constexpr}
        source = ASTSource(
            fn=function,
            signature={name: "constexpr" if name in constants else _kind(arguments[name]) for name in names},
            constexprs={(i,): _scalar(arguments[name]) for i, name in enumerate(names) if name in constants},
            # Tensors of torch begin at multiples of 16 bytes: loads are as wide as in a real launch.
            attrs={
                (i,): [["tt.divisibility", 16]] for i, name in enumerate(names) if "tensor" in arguments[name]
            },
        )
        kernel = triton.compile(source, target=target, options=options_of(launch))
        build[f"{launch['label'].replace(' ', '')}SharedBytes"] = kernel.metadata.shared
    return build


def _kind(argument):
    if "tensor" in argument:
        return POINTERS[argument["type"]]
    return "fp32" if "f32" in argument else "i32"


def _scalar(argument):
    # JSON does not tell 1.0 from 1, and a kernel compiled for an integer is another one.
    return float(argument["f32"]) if "f32" in argument else argument["value"]
