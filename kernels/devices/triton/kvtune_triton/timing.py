"""Times programs interleaved: CUDA graphs over rotating inputs between events, or process CPU time in the interpreter.

As kernels/devices/cuda/timing.ts does it: a run is one execution of a program, a graph holds as many runs as hide the
host's cost, a sample is one or more launches of a graph between two events, a round is one sample of each program.
"""

import time

import torch

# Kernels in a graph at most: capture costs the host tens of microseconds each.
MAX_GRAPH_KERNELS = 2048
ROUNDS_AHEAD = 3
# Warm-up takes at least this long, and ends once two rounds in a row differ by less than 1 %.
WARM_UP_US = 20_000
STEADY = 0.01
WARM_UP_ROUNDS = 20


def time_on_cpu(programs, samples):
    """µs of process CPU time a run."""
    times = [[] for _ in programs]
    for _ in range(samples):
        for program, row in zip(programs, times):
            started = time.process_time_ns()
            program.launch()
            row.append((time.process_time_ns() - started) / 1e3)
    return times


class _Plan:
    def __init__(self, program, copies, sample_us, stream):
        turn = _capture(program, copies, copies, stream)
        _enqueue(turn, 1)  # The first launch is slow for reasons of its own.
        us_per_run = max(_collect(_enqueue(turn, 1)) / copies, 0.1)
        runs = copies
        while runs * us_per_run < sample_us and 2 * runs * program.launch_count <= MAX_GRAPH_KERNELS:
            runs *= 2
        self.graph = turn if runs == copies else _capture(program, runs, copies, stream)
        self.launches = max(1, -(-int(sample_us) // max(1, int(runs * us_per_run))))
        self.runs = runs * self.launches


def time_on_cuda(programs, copies, samples, sample_us):
    """µs a run, `samples` for each program, in rounds."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        plans = [_Plan(program, copies, sample_us, stream) for program in programs]
        enqueue = lambda: [_enqueue(plan.graph, plan.launches) for plan in plans]  # noqa: E731

        total, before = 0.0, float("inf")
        for _ in range(WARM_UP_ROUNDS):
            us = sum(_collect(sample) for sample in enqueue())
            total += us
            if total >= WARM_UP_US and abs(us - before) <= STEADY * us:
                break
            before = us

        times = [[] for _ in plans]
        ahead = []

        def take():
            for plan, row, sample in zip(plans, times, ahead.pop(0)):
                row.append(_collect(sample) / plan.runs)

        for _ in range(samples):
            if len(ahead) == ROUNDS_AHEAD:
                take()
            ahead.append(enqueue())
        while ahead:
            take()
        return times


def _capture(program, runs, copies, stream):
    program.launch()  # Everything lazy happens outside of the graph.
    stream.synchronize()
    graph = torch.cuda.CUDAGraph()
    graph.capture_begin()  # Without the garbage collection of torch.cuda.graph(), which takes longer than all the rest.
    for run in range(runs):
        program.launch(run % copies)
    graph.capture_end()
    return graph


def _enqueue(graph, launches):
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(launches):
        graph.replay()
    end.record()
    return start, end


def _collect(sample):
    start, end = sample
    end.synchronize()
    return start.elapsed_time(end) * 1e3
