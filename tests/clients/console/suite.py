"""Runs the console's cases: one box, one browser, a fresh session for each case."""

import os
import pathlib
import shutil
import sys
import tempfile

sys.dont_write_bytecode = True  # A checkout stays as it was.
# Last, so that a name there hides none of Python's own.
sys.path.append(str(pathlib.Path(__file__).parents[2] / 'faults'))

import browser
import client
import hostile
import moving
import pages
import report
from box import sealed_box
from verdict import Failed, expect

PASSWORD = 'quiet-water-47'


class Context:
    """What a case works with: the box, clients of it, and the browser."""

    def __init__(self, binary, work):
        self.work = work
        self.incoming = work / 'incoming'
        self.incoming.mkdir()
        settings = work / 'settings.toml'
        settings.write_text(
            f'[[exchange]]\nname = "incoming"\nlocation = "{self.incoming}"\nread = ["*"]\nwrite = ["*"]\n'
        )
        self.binary = binary
        self.box = sealed_box(
            self, work / 'box', variables={'TINTYPE_CONFIG': str(settings)}, images_retain_deleted_s=3600
        )
        self.box.start()
        # A server that is started again is found at the same place.
        self.box.listen = self.box.url.removeprefix('http://')
        self.admin = client.admin(self.box)
        self.projects = {}
        for user, roles in {'ann': {'lab': 'member'}, 'ben': {'den': 'member'}, 'rae': {'lab': 'reader'}}.items():
            self.add_user(user, roles)
        self.browser = browser.Browser(self.box.url, work)

    def add_user(self, user, roles):
        """A user with a role in each of some projects."""
        secret = self.work / 'password'
        secret.write_text(PASSWORD)
        self.box.result('user', 'create', user, '--password-file', secret)
        for project, role in roles.items():
            if project not in self.projects:
                self.projects[project] = self.box.result('project', 'create', project)['id']
            self.box.result('role', 'add', role, '--user', user, '--project', project)

    def as_user(self, user, project):
        """A client of the interfaces, to prepare and to compare."""
        return client.sign_in(self.box.url, PASSWORD, user, project)

    def enter(self, user, project):
        """The browser, signed in."""
        self.browser.enter(user, self.box.password() if user == 'admin' else PASSWORD, project)
        return self.browser

    def close(self):
        """Ends browser and box."""
        if hasattr(self, 'browser'):
            self.browser.close()
        self.box.kill()


def calm(case):
    """The case, which fails as well when the page complained of something that the case did not expect."""

    def run(context):
        if not context.box.runs():
            # The case before broke off while it was down.
            context.box.start()
        context.browser.forget()
        case(context)
        context.browser.expect_calm()

    run.__doc__ = case.__doc__
    return run


def main():
    binary, wanted = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:]
    for name in [name for name in os.environ if name.startswith(('TINTYPE_', 'OS_'))]:
        del os.environ[name]
    work = pathlib.Path(tempfile.mkdtemp(prefix='tintype-console-'))
    context, counts = None, report.Counts()
    try:
        context = Context(binary, work)
        for case in moving.CASES + pages.CASES + hostile.CASES:
            if not wanted or any(word in case.__name__ for word in wanted):
                end = report.run_case(calm(case), context)
                counts.add(end)
                if end == 'FAIL':
                    context.browser.picture(f'failed-{case.__name__}')
    finally:
        if context:
            context.close()
        shutil.rmtree(work, ignore_errors=True)
    print(counts)
    expect(sum(counts.ends.values()) > 0, 'no case is called so')
    return 1 if counts.failed() else 0


if __name__ == '__main__':
    try:
        sys.exit(main())
    except Failed as seen:
        print(f'FAIL {seen}')
        sys.exit(1)
