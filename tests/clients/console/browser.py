"""Chromium on the console, steered as a person would: by labels, by the words on buttons, by what is shown.

Knows no page of the console. Notes everything that a page complains of: errors, broken policy, dialogs of its own.
"""

import os
import pathlib
import shutil
import time

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from verdict import Failed, equal, expect

PATIENCE = 30
FLAGS = [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--disable-dev-shm-usage',
    '--lang=en',
]
# Runs before any script of a page. What hostile texts call, and what no page may do, leaves a trace.
WATCH = """
window.complaints = [];
window.caught = (what) => window.complaints.push(`a hostile text ran: ${what}`);
window.alert = (what) => window.caught(what);
window.prompt = window.alert;
window.asked = [];
window.confirm = (what) => { window.asked.push(what); return true; };
addEventListener('securitypolicyviolation', (e) => window.complaints.push(`policy: ${e.violatedDirective} ${e.blockedURI} ${e.sample}`));
addEventListener('error', (e) => window.complaints.push(`error: ${e.message} ${e.target?.src ?? ''}`), true);
addEventListener('unhandledrejection', (e) => window.complaints.push(`rejection: ${e.reason}`));
delete window.showSaveFilePicker;
"""


class Browser:
    """One browser with one window."""

    def __init__(self, url, work):
        self.url = f'{url}/console/'
        self.downloads = work / 'downloads'
        self.downloads.mkdir()
        self.shots = os.environ.get('CONSOLE_SHOTS')
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which('chromium')
        for flag in [*FLAGS, f'--user-data-dir={work / "profile"}']:
            options.add_argument(flag)
        options.set_capability('goog:loggingPrefs', {'browser': 'ALL'})
        self.driver = webdriver.Chrome(options=options, service=Service(shutil.which('chromedriver')))
        self.tell('Page.addScriptToEvaluateOnNewDocument', source=WATCH)
        self.tell('Browser.setDownloadBehavior', behavior='allow', downloadPath=str(self.downloads))
        self.look(1280, 900)
        self.tell('Network.enable')
        self.refusals = 0

    def close(self):
        """Ends it."""
        self.driver.quit()

    def tell(self, command, **parameters):
        """A command of the browser's own protocol."""
        return self.driver.execute_cdp_cmd(command, parameters)

    def run(self, script, *arguments):
        """A script of the test's, in the page."""
        return self.driver.execute_script(script, *arguments)

    # What is seen.

    def look(self, width, height=900, dark=False):
        """Sets the size of the window, and day or night."""
        self.tell(
            'Emulation.setDeviceMetricsOverride', width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        self.tell(
            'Emulation.setEmulatedMedia',
            features=[{'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'}],
        )

    def picture(self, name):
        """A picture of the page, where pictures are wanted."""
        if self.shots:
            pathlib.Path(self.shots).mkdir(parents=True, exist_ok=True)
            self.driver.save_screenshot(f'{self.shots}/{name}.png')

    def text(self):
        """Everything that the page shows."""
        return self.driver.find_element(By.TAG_NAME, 'body').text

    def until(self, what, held, patience=PATIENCE):
        """Waits until something holds; what it gave."""
        end = time.monotonic() + patience
        while True:
            try:
                seen = held()
                if seen:
                    return seen
            except (StaleElementReferenceException, WebDriverException):
                pass
            if time.monotonic() > end:
                raise Failed(f'{what}: not within {patience} s; the page shows {self.text()[:1500]!r}')
            time.sleep(0.1)

    def sees(self, words, patience=PATIENCE):
        """Waits until the page shows these words."""
        self.until(f'the words {words!r}', lambda: words in self.text(), patience)

    def find(self, selector):
        """All elements of a selector that are shown."""
        return [one for one in self.driver.find_elements(By.CSS_SELECTOR, selector) if one.is_displayed()]

    def one(self, selector):
        """The first element of a selector, once it is shown."""
        return self.until(f'something that is {selector}', lambda: (self.find(selector) or [None])[0])

    def buttons(self):
        """The words on all buttons, and links that look like one."""
        return [one.text for one in self.find('button, a.button')]

    # What is done.

    def press(self, words, within=''):
        """Presses the button or link with these words."""

        def pressed():
            scope = within or ('dialog ' if self.find('dialog[open]') else '')
            for one in self.find(f'{scope}button, {scope}a'):
                if one.text == words and one.is_enabled():
                    one.click()
                    return True
            return False

        self.until(f'a button {words!r}', pressed)

    def control(self, label):
        """The control that a label belongs to; the one in a dialog, where one is open."""

        def labelled():
            scope = 'dialog ' if self.find('dialog[open]') else ''
            for one in self.find(f'{scope}label'):
                if one.text.splitlines()[:1] == [label]:
                    return self.driver.find_element(By.ID, one.get_attribute('for'))
            return None

        return self.until(f'a control {label!r}', labelled)

    def write(self, label, value):
        """Writes into a control, in the place of what was there. Keys for what keyboards have."""
        control = self.control(label)
        self.put(control, value)

    def put(self, control, value):
        """Writes into this control."""
        control.clear()
        if value.isascii():
            control.send_keys(value)
        else:
            self.run(
                'arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event("input", {bubbles: true}))',
                control,
                value,
            )

    def choose(self, label, words):
        """Chooses from a list."""
        control = self.control(label)
        for one in control.find_elements(By.TAG_NAME, 'option'):
            if one.text == words:
                one.click()
                return
        raise Failed(f'{label!r} has no {words!r}')

    def enter_key(self, label):
        """Presses Enter in a control."""
        self.control(label).send_keys(Keys.ENTER)

    def go(self, path):
        """Goes to a page of the console."""
        self.run('location.hash = arguments[0]', f'#/{path}')

    def title(self, words):
        """Waits for the page with this title."""
        self.until(f'a page {words!r}', lambda: [one for one in self.find('h1') if one.text == words])

    def enter(self, user, password, project=''):
        """Signs in, in a fresh session."""
        self.leave()
        self.write('User', user)
        self.write('Password', password)
        if project:
            self.write('Project', project)
        self.press('Sign in')
        self.title('Overview')

    def leave(self):
        """Forgets the session without telling the server, and shows the way in."""
        self.driver.get(self.url)
        # A page that has transfers asks before it goes; a test does not answer.
        self.run('sessionStorage.clear()')
        self.keep_complaints()
        self.driver.get('about:blank')
        self.driver.get(self.url)
        self.title('Sign in')

    def downloaded(self, name_part):
        """The file that came down, whole."""

        def whole():
            files = [
                one
                for one in self.downloads.iterdir()
                if name_part in one.name and not one.name.endswith(('.crdownload', '.tmp'))
            ]
            return files[0] if files else None

        path = self.until(f'a file {name_part!r}', whole)
        data = path.read_bytes()
        path.unlink()
        return data

    # What was complained of.

    def forget(self):
        """Begins to listen anew."""
        self.kept, self.refusals = [], 0
        self.look(1280)
        self.tell(
            'Network.emulateNetworkConditions', offline=False, latency=0, downloadThroughput=-1, uploadThroughput=-1
        )
        self.driver.get_log('browser')
        try:
            self.run('window.complaints && window.complaints.splice(0)')
        except WebDriverException:
            pass

    def keep_complaints(self):
        """Keeps what a page complained of before it goes."""
        self.kept += self.run('return window.complaints?.splice(0) ?? []')

    def expect_refusals(self):
        """From here on requests may be refused: the browser tells of each."""
        self.refusals = 1

    def expect_calm(self):
        """Fails when anything complained."""
        self.keep_complaints()
        equal('what pages complained of', self.kept, [])
        lines = [line['message'] for line in self.driver.get_log('browser')]
        loud = [
            line for line in lines if not (self.refusals and ('Failed to load resource' in line or 'net::ERR' in line))
        ]
        equal('what the browser complained of', loud, [])
        expect(
            not self.run('return Boolean(document.querySelector("main script, main img[src=x], main iframe"))'),
            'markup came out of a text',
        )
