"""Matchers for tests, built in one go."""
from mesh.rules.language import default_priority, parse
from mesh.rules.matcher import Entry, Matcher


def built(entries, previous=None):
    steps = Matcher.build(entries, previous)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def routers(*rules, **named):
    """A matcher whose targets are the names; rules by position are named r0, r1, ...; (rule, priority) is possible."""
    entries = []
    for name, rule in {**{f"r{n}": rule for n, rule in enumerate(rules)}, **named}.items():
        text, priority = (rule, 0) if isinstance(rule, str) else rule
        expression = parse(text)
        entries.append(Entry(name, priority or default_priority(text, expression), expression, name))
    return built(entries)
