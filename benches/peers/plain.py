"""Programs that know nothing of images, driven like keepers: each file of its own, nothing shared.

What `cp`, `zstd` and `qemu-img` do is the least that anybody does who keeps disks as files; each file is
synced, as an image is before it is acknowledged.
"""

import shlex
import shutil
import subprocess

from keepers import debian
from measure import spend


class Files:
    """A folder of files that a program makes."""

    def new(self, folder):
        self.folder = folder
        folder.mkdir()

    def put(self, name, path):
        target = self.folder / name
        made = shlex.join(map(str, self.making(path, target)))
        return spend(['sh', '-c', f'{made} && sync {shlex.quote(str(target))} {shlex.quote(str(self.folder))}'])

    def get(self, name, _):
        return spend(self.giving(self.folder / name), counted=True)


class Cp(Files):
    """cp, holes kept."""

    name = 'cp'

    def version(self):
        return subprocess.check_output(['cp', '--version'], text=True).splitlines()[0]

    def making(self, path, target):
        return ['cp', '--sparse=always', '--reflink=never', path, target]

    def giving(self, target):
        return ['cat', target]


class Zstd(Files):
    """zstd at the level that new data has here, on all cores."""

    name = 'zstd -1 -T0'

    def __init__(self):
        if not shutil.which('zstd'):
            debian('zstd')

    def version(self):
        return subprocess.check_output(['zstd', '--version'], text=True).strip()

    def making(self, path, target):
        return ['zstd', '-q', '-1', '-T0', '-o', target, path]

    def giving(self, target):
        return ['zstd', '-dcq', target]


class QemuImg(Files):
    """qemu-img to compressed qcow2. It writes no disk to a pipe, so nothing is taken back."""

    name = 'qemu-img convert -c'
    get = None

    def __init__(self):
        if not shutil.which('qemu-img'):
            debian('qemu-utils')

    def version(self):
        return subprocess.check_output(['qemu-img', '--version'], text=True).splitlines()[0]

    def making(self, path, target):
        return ['qemu-img', 'convert', '-c', '-O', 'qcow2', path, target]
