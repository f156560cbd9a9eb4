"""What is measured of a process, and the rows of the table."""

import os
import statistics
import subprocess
import sys
import time


class Spent:
    """What one command took: seconds by the clock, of processors, and its largest size."""

    def __init__(self, seconds, processor, resident_mib, output_bytes):
        self.seconds, self.processor = seconds, processor
        self.resident_mib, self.output_bytes = resident_mib, output_bytes


def spend(command, environment=None, counted=False):
    """Runs a command that must succeed. `counted` reads its output through a pipe and counts it."""
    pipe = subprocess.PIPE if counted else subprocess.DEVNULL
    with open(os.devnull, 'rb') as nothing:
        start = time.monotonic()
        process = subprocess.Popen(command, env={**os.environ, **(environment or {})}, stdin=nothing,
                                   stdout=pipe, stderr=subprocess.PIPE)
        output = drain(process.stdout) if counted else 0
        said = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f'{" ".join(map(str, command))} ended with {process.returncode}:\n{said.decode()}')
    return Spent(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, output)


def drain(pipe):
    """Reads a pipe to its end; how many bytes there were."""
    buffer, total = bytearray(1 << 20), 0
    while length := pipe.readinto(buffer):
        total += length
    return total


def tree_bytes(folder):
    """Bytes of all files below a folder."""
    return sum(file.stat().st_size for file in folder.rglob('*') if file.is_file() and not file.is_symlink())


def note(text):
    """Tells what a row is made of."""
    print(f'  {text}', file=sys.stderr, flush=True)


def row(figure, measured, yardstick, ratio, wanted=None, at_most=False):
    """Prints a row for the table of benches/run. `wanted` is what the ratio has to be."""
    sign, holds = ('<=', ratio <= wanted) if wanted and at_most else ('>=', wanted is None or ratio >= wanted)
    goal, verdict = (f'ratio {sign} {wanted}', 'holds' if holds else 'FALLS SHORT') if wanted else ('-', '-')
    print(f'{figure}\t{measured}\t{yardstick}\t{ratio:.2f}\t{goal}\t{verdict}', flush=True)


def compare(figure, ours, theirs, peer, size_bytes, wanted=None):
    """A row of two speeds: medians, and the median of the ratios round by round."""
    speed = lambda all: f'{statistics.median(size_bytes / s.seconds / 1e6 for s in all):.0f} MB/s'
    ratio = statistics.median(their.seconds / our.seconds for our, their in zip(ours, theirs))
    row(figure, speed(ours), f'{peer}: {speed(theirs)}', ratio, wanted)
