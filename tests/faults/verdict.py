"""How a case says what it saw: by passing, by failing with words, or by not having been possible."""


class Failed(Exception):
    """The service did not do what it promises."""


class NotRun(Exception):
    """This machine cannot show it."""


def expect(held, seen):
    """Fails the case unless `held`."""
    if not held:
        raise Failed(seen)


def equal(what, got, wanted):
    """Fails the case unless both are the same."""
    if got != wanted:
        raise Failed(f'{what}: {got!r}, not {wanted!r}')


def has(what, text, wanted):
    """Fails the case unless `wanted` stands in `text`, whatever its case."""
    if wanted.lower() not in text.lower():
        raise Failed(f'{what}: no {wanted!r} in {text!r}')
