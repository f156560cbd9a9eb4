"""Programs that keep disk images in a repository of their own, each driven in the same way.

A keeper has a new repository, `put`s a file under a name, and `get`s it back through a pipe.
"""

import os
import pathlib
import shutil
import subprocess
import sys

from measure import spend

CACHE = pathlib.Path(os.environ.get('XDG_CACHE_HOME', pathlib.Path.home() / '.cache'))


def debian(*packages):
    """Installs Debian packages where that is possible."""
    if os.geteuid() == 0 and shutil.which('apt-get'):
        quiet = {'stdout': subprocess.DEVNULL, 'stderr': subprocess.DEVNULL}
        subprocess.run(['apt-get', 'update', '-q'], **quiet)
        subprocess.run(['apt-get', 'install', '-qy', *packages], **quiet)


class Tintype:
    """The box, closed: a command line process that does all by itself."""

    def __init__(self, binary, name='tintype', **settings):
        self.binary, self.name = binary, name
        self.settings = {f'TINTYPE_{key.upper()}': str(value) for key, value in settings.items()}

    def version(self):
        return subprocess.check_output([self.binary, '--version'], text=True).strip()

    def new(self, folder):
        self.folder = folder
        spend([self.binary, '--data', folder, 'init'], self.settings)

    def put(self, name, path):
        command = [self.binary, '--data', self.folder, 'image', 'import', '--disk-format', 'raw', '--name', name]
        return spend([*command, path], self.settings)

    def get(self, name):
        return spend([self.binary, '--data', self.folder, 'image', 'save', name, '-'], self.settings, counted=True)


class Restic:
    """restic, from Debian; it always encrypts."""

    name = 'restic'

    def __init__(self):
        if not shutil.which('restic'):
            debian('restic')

    def version(self):
        return ' '.join(subprocess.check_output(['restic', 'version'], text=True).split()[:2])

    def new(self, folder):
        self.environment = {'RESTIC_REPOSITORY': str(folder), 'RESTIC_PASSWORD': 'bench',
                            'RESTIC_CACHE_DIR': f'{folder}.cache'}
        spend(['restic', 'init', '-q'], self.environment)

    def put(self, name, path):
        # By its content, as Tintype must: not by its name and date.
        return spend(['restic', 'backup', '-q', '--force', '--tag', name, path], self.environment)

    def get(self, name, path):
        return spend(['restic', 'dump', '-q', '--tag', name, 'latest', path], self.environment, counted=True)


class Borg:
    """BorgBackup, from PyPI, without encryption, in fixed blocks of 4 MiB as it advises for disks."""

    name = 'borg, fixed 4 MiB'
    VERSION = '1.4.5'

    def __init__(self):
        venv = CACHE / f'tintype-borg-{self.VERSION}'
        self.borg = venv / 'bin' / 'borg'
        if not self.borg.exists():
            debian('python3-venv', 'libacl1-dev', 'libssl-dev', 'liblz4-dev', 'libzstd-dev', 'libxxhash-dev',
                   'pkg-config')
            subprocess.run([sys.executable, '-m', 'venv', venv], check=True)
            subprocess.run([venv / 'bin' / 'pip', 'install', '-q', 'pkgconfig', f'borgbackup=={self.VERSION}'],
                           check=True)

    def version(self):
        return subprocess.check_output([self.borg, '--version'], text=True).strip()

    def new(self, folder):
        self.environment = {'BORG_REPO': str(folder), 'BORG_BASE_DIR': f'{folder}.base',
                            'BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK': 'yes'}
        spend([self.borg, 'init', '-e', 'none'], self.environment)

    def put(self, name, path):
        command = [self.borg, 'create', '--chunker-params', 'fixed,4194304', '--sparse', '-C', 'zstd,1',
                   '--files-cache', 'disabled']
        return spend([*command, f'::{name}', path], self.environment)

    def get(self, name, path):
        return spend([self.borg, 'extract', '--stdout', f'::{name}', str(path).lstrip('/')], self.environment,
                     counted=True)


class Rustic:
    """rustic, built from crates.io: takes ten minutes once."""

    name = 'rustic'
    VERSION = '0.11.4'

    def __init__(self):
        root = CACHE / f'tintype-rustic-{self.VERSION}'
        self.rustic = root / 'bin' / 'rustic'
        if not self.rustic.exists():
            subprocess.run(['cargo', 'install', '--quiet', '--locked', '--root', root, '--no-default-features',
                            f'rustic-rs@{self.VERSION}'], check=True)

    def version(self):
        return subprocess.check_output([self.rustic, '--version'], text=True).strip()

    def new(self, folder):
        self.environment = {'RUSTIC_REPOSITORY': str(folder), 'RUSTIC_PASSWORD': 'bench',
                            'RUSTIC_CACHE_DIR': f'{folder}.cache', 'RUSTIC_NO_PROGRESS': 'true'}
        spend([self.rustic, 'init'], self.environment)

    def put(self, name, path):
        return spend([self.rustic, 'backup', '--force', '--label', name, path], self.environment)

    def get(self, name, path):
        return spend([self.rustic, 'dump', '--filter-label', name, f'latest:{path}'], self.environment, counted=True)
