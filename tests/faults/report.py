"""Runs one case and says how it ended; counts the ends."""

import time
import traceback

import verdict


class Counts:
    """How many cases ended which way."""

    def __init__(self):
        self.ends = {'OK': 0, 'not run': 0, 'FAIL': 0}

    def add(self, end):
        """One more."""
        self.ends[end] += 1

    def failed(self):
        """Whether any failed."""
        return self.ends['FAIL'] > 0

    def __str__(self):
        return ', '.join(f'{count} {end}' for end, count in self.ends.items())


def run_case(case, context, where=''):
    """Runs one case in a folder of its own; 'OK', 'not run' or 'FAIL'."""
    title = where + case.__doc__.splitlines()[0].rstrip('.')
    started = time.monotonic()
    try:
        case(context)
    except verdict.NotRun as reason:
        print(f'not run {title}: {reason}', flush=True)
        return 'not run'
    except verdict.Failed as seen:
        print(f'FAIL {title}: {seen}', flush=True)
        return 'FAIL'
    except Exception:
        print(f'FAIL {title}: the case itself broke', flush=True)
        traceback.print_exc()
        return 'FAIL'
    print(f'OK {title} ({time.monotonic() - started:.1f} s)', flush=True)
    return 'OK'
