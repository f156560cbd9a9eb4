"""Disks over NBD: those of a Tintype server, and files that qemu-nbd serves, read by the same clients.

Everything is read from memory: each disk is read once before anything is measured.
"""

import json
import os
import pathlib
import shutil
import statistics
import subprocess
import time

from keepers import debian
from measure import compare, note, row, spend
from services import TintypeServer

# Random reads: how large, how many at once, and for how long.
BLOCK, DEPTH, SECONDS = 4096, 16, 5
# A disk is copied so many times in a turn: once is over too soon to be told from what else the machine does.
COPIES = 5
# Clients that read the same disk at once.
CROWD = 32


class Ours:
    """Disks of a Tintype server, by a Unix socket."""

    name = 'tintype'

    def __init__(self, binary, folder):
        self.socket = folder.with_suffix('.sock')
        self.server = TintypeServer(binary, folder, nbd_listen=f'unix:{self.socket}', nbd_insecure='true',
                                    store_memory_bytes=1 << 30)

    def start(self, files):
        self.server.start()
        for name, (path, form) in files.items():
            record = {'name': name, 'disk_format': form, 'container_format': 'bare'}
            image = self.server.request('POST', '/v2/images', record)['id']
            spend([*self.server.curl(), '-H', 'Content-Type: application/octet-stream', '-T', path,
                   f'{self.server.url}/v2/images/{image}/file'])

    def uri(self, name):
        return f'nbd+unix:///{name}?socket={self.socket}'

    def processor(self):
        """Seconds of processors that the server has taken."""
        return processor_of(self.server.process.pid)

    def read_bytes(self):
        """Bytes that the server has read from files; what comes from sockets does not count."""
        lines = pathlib.Path(f'/proc/{self.server.process.pid}/io').read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith('rchar:'))

    def stop(self):
        self.server.stop()


class QemuNbd:
    """A qemu-nbd for each disk."""

    name = 'qemu-nbd'

    def __init__(self, folder):
        self.folder, self.processes = folder, []
        folder.mkdir()

    def start(self, files):
        for name, (path, form) in files.items():
            command = ['qemu-nbd', '--read-only', '--persistent', f'--shared={CROWD + 4}', f'--format={form}',
                       '--cache=writeback', '--export-name', name, '--socket', self.folder / name, path]
            self.processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL))
            while not (self.folder / name).exists():
                time.sleep(0.01)

    def uri(self, name):
        return f'nbd+unix:///{name}?socket={self.folder / name}'

    def processor(self):
        return sum(processor_of(process.pid) for process in self.processes)

    def stop(self):
        for process in self.processes:
            process.terminate()
            process.wait()


def processor_of(pid):
    fields = pathlib.Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def copied(uri):
    """A disk read from its beginning to its end, into nothing, some times one after the other."""
    return spend(['sh', '-c', 'for copy in $(seq "$1"); do nbdcopy "$2" null: || exit; done', 'sh', str(COPIES), uri])


def at_random(uri):
    """Random reads in a second, some of them at once."""
    asked = subprocess.check_output(
        ['fio', '--name=random', '--ioengine=nbd', f'--uri={uri}', '--rw=randread', f'--bs={BLOCK}', f'--iodepth={DEPTH}',
         '--time_based', f'--runtime={SECONDS}', '--randseed=7', '--output-format=json'], stderr=subprocess.DEVNULL)
    # A line about the connection stands before it.
    return json.loads(asked[asked.index(b'{'):])['jobs'][0]['read']['iops']


def crowd(server, name, clients):
    """So many clients copy a disk at once: seconds, and seconds of the server's processors."""
    before, start = server.processor(), time.monotonic()
    copies = [subprocess.Popen(['nbdcopy', server.uri(name), 'null:']) for _ in range(clients)]
    if any(copy.wait() for copy in copies):
        raise SystemExit(f'{server.name} did not serve {clients} clients')
    return time.monotonic() - start, server.processor() - before


def disks(context, first):
    """Sequential and random reads over NBD, and a crowd that reads one compressed disk."""
    for tool, package in (('qemu-nbd', 'qemu-utils'), ('nbdcopy', 'libnbd-bin'), ('fio', 'fio')):
        if not shutil.which(tool):
            debian(package)
    raw = context.disk(first)
    plain, packed = context.work / 'plain.qcow2', context.work / 'packed.qcow2'
    subprocess.run(['qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', raw, plain], check=True)
    subprocess.run(['qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', '-c', raw, packed], check=True)
    files = {'raw': (raw, 'raw'), 'plain': (plain, 'qcow2'), 'packed': (packed, 'qcow2')}
    ours, theirs = Ours(context.binary, context.work / 'box'), QemuNbd(context.work / 'qemu-nbd')
    for server in (ours, theirs):
        server.start(files)
        for name in files:
            copied(server.uri(name))
    spent = {}
    for number in range(context.rounds):
        for name in files:
            for server in (ours, theirs):
                took, rate = copied(server.uri(name)), at_random(server.uri(name))
                spent.setdefault(name, {}).setdefault(server.name, []).append((took, rate))
                note(f'round {number}: {name}, {server.name}: copied in {took.seconds:.2f} s, {rate:.0f} random reads/s')
    size = raw.stat().st_size * COPIES
    for name, seen in spent.items():
        our, their = seen[ours.name], seen[theirs.name]
        # What is compressed costs whoever reads it for the first time; there is no promise about that.
        wanted = {'raw': (0.7, 0.5), 'plain': (0.7, 0.5)}.get(name, (None, None))
        compare(f'a disk by nbdcopy, {name}', [took for took, _ in our], [took for took, _ in their], theirs.name, size,
                wanted[0])
        ratio = statistics.median(o / t for (_, o), (_, t) in zip(our, their))
        rates = [statistics.median(rate for _, rate in side) for side in (our, their)]
        row(f'random reads of 4 KiB, {DEPTH} at once, NBD, {name}', f'{rates[0]:.0f} /s', f'{theirs.name}: {rates[1]:.0f} /s',
            ratio, wanted[1])
    ours.stop()
    theirs.stop()
    together(context, files['packed'])


def together(context, packed):
    """A crowd on a server that has just started, beside one client on another: what is read from packs for all of them is
    read, opened and decompressed once, as far as they keep together."""
    spent = {}
    for clients in (1, CROWD):
        server = Ours(context.binary, context.work / f'crowd-{clients}')
        server.start({'packed': packed})
        before = server.read_bytes()
        seconds, processor = crowd(server, 'packed', clients)
        spent[clients] = server.read_bytes() - before
        note(f'{clients} clients: {seconds:.2f} s ({processor:.2f} of processors), {spent[clients] / 1e6:.1f} MB read of packs')
        server.stop()
    row(f'{CROWD} clients of one compressed disk: bytes of packs that are read', f'{spent[CROWD] / 1e6:.1f} MB',
        f'one client: {spent[1] / 1e6:.1f} MB', spent[CROWD] / spent[1], 2, at_most=True)
