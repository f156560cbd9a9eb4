"""Pages and records of many images, asked for by wrk over kept connections."""

import concurrent.futures
import re
import shutil
import subprocess

from keepers import debian
from measure import note
from services import Glance

CONNECTIONS = 8
# Who registers images at the same time.
FILLERS = 8


def fill(service, count):
    """Gives a service so many images; the id of one of them."""
    def register(number):
        record = {'name': f'image-{number:05}', 'disk_format': ('qcow2', 'raw')[number % 3 == 0], 'container_format': 'bare',
                  'tags': [f't{number % 500}'], 'os_distro': f'distro-{number % 20}', 'min_ram': 512}
        return service.request('POST', '/v2/images', record)['id']
    if isinstance(service, Glance):
        # It takes minutes to register so many, and its database cannot be written to by two at once.
        return service.multiply(register(0), count)
    with concurrent.futures.ThreadPoolExecutor(FILLERS) as pool:
        return list(pool.map(register, range(count)))[count // 2]


def rate(service, path, seconds):
    """Answers a second; every one of them has to be a 200."""
    if not shutil.which('wrk'):
        debian('wrk')
    named = [part for name, value in service.headers.items() for part in ('-H', f'{name}: {value}')]
    said = subprocess.run(['wrk', '-t', '2', '-c', str(CONNECTIONS), '-d', f'{seconds}s', *named, service.url + path],
                          check=True, capture_output=True, text=True).stdout
    if re.search('Non-2xx|Socket errors', said):
        raise SystemExit(f'{service.name} did not answer {path} as it should:\n{said}')
    found = float(re.search(r'Requests/sec: +([0-9.]+)', said)[1])
    note(f'{service.name}: {found:.1f} answers a second to {path}')
    return found
