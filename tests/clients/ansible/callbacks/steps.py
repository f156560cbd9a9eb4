"""Prints what a playbook does as the other clients print it: a line a step, and a count at the end.

A step is an assertion. A module whose outcome no assertion names is a failure too.
"""
import re

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = '''
name: steps
type: stdout
short_description: a line a step
description:
  - Prints 'OK step' or 'FAIL step' for each assertion, what went wrong in a module, and 'passed N failed N'.
'''


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = 'stdout'
    CALLBACK_NAME = 'steps'

    def __init__(self):
        super().__init__()
        self.passed = self.failed = 0
        self.unseen = {}  # What no assertion named yet: the variable an outcome is in, and the task's name.

    def _fail(self, what, why):
        self.failed += 1
        print(f'FAIL {what}: {why}', flush=True)

    def v2_playbook_on_task_start(self, task, is_conditional):
        if task.action.endswith('.assert'):
            named = set(re.findall(r'\w+', str(task.args['that'])))
            self.unseen = {register: name for register, name in self.unseen.items() if register not in named}
        elif not task.action.endswith('.set_fact'):
            if not task.register or task.register in self.unseen:
                self._fail(task.get_name(), f'an outcome is lost (register: {task.register})')
            self.unseen[task.register] = task.get_name()

    def v2_runner_on_ok(self, result):
        if result.task.action.endswith('.assert'):
            self.passed += 1
            print(f'OK {result.task.get_name()}', flush=True)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        if ignore_errors:
            return
        self.unseen = {}
        told = result.result
        why = [told[key] for key in ('assertion', 'msg', 'evaluated_to', 'stderr') if told.get(key) not in (None, '')]
        self._fail(result.task.get_name(), '; '.join(map(str, why)))

    def v2_playbook_on_stats(self, stats):
        for register, name in self.unseen.items():
            self._fail(name, f'no assertion names its outcome ({register})')
        print(f'passed {self.passed} failed {self.failed}', flush=True)
