"""What a worker serves from: the dynamic configuration, compiled and frozen.

Owns the passage from the model to the objects of the request path, and which of them survive an edit: what says the
same is the same object in the next plan, so connections stay pooled, turns go on and counters keep their place.  It
refuses to judge a configuration (mesh/providers has settled it) and to open anything: what a worker knows of an
endpoint or a route it hangs on `pool` and `account` itself.  Floor 2.
"""
from dataclasses import fields, replace

from mesh.balance.balance cimport Balance
from mesh.balance.sticky import cookie_value
from mesh.balance.wrr cimport Wrr
from mesh.errors import Problem
from mesh.model import NOWHERE, LoadBalancer, Transport, Weighted
from mesh.rules.language import RuleError, default_priority, parse
from mesh.rules.matcher import Entry, Matcher
from mesh.shared.slots cimport Slots

# A step between two yields is well under 1 ms; measured on one core:
ENDPOINTS_AT_ONCE = 25      # 7 us for a new one, 1.3 us for a known one
RULES_AT_ONCE = 5           # 27 us to parse a short rule
OBJECTS_AT_ONCE = 50        # 2.4 us for a router whose rule is known
COMPARED_AT_ONCE = 250      # 0.3 us
MEMBERS_AT_ONCE = 5000      # 20 ns to look at one for its share
FREED_AT_ONCE = 500         # 0.1 to 0.3 us

_SAID = [each.name for each in fields(LoadBalancer) if each.name != "servers"]

class _LeftOut(Exception):
    """Why something of the model is not in the plan, in words for people."""


cdef class Route:
    """A router on one entrypoint and the service that its requests go to."""

    def __cinit__(self, str entry_point, str router, Service service):
        self.entry_point = entry_point
        self.router = router
        self.service = service

    def __repr__(self):
        return f"<Route {self.router} on {self.entry_point} to {self.service.name}>"


cdef class Table:
    """The routers of one entrypoint: which of them takes a request."""

    def __cinit__(self, str entry_point, matcher, list entries):
        self.entry_point = entry_point
        self.matcher = matcher
        self.certain = matcher.certain
        self.index = matcher.index
        self.entries = entries
        self.routes = tuple([entry.target for entry in entries])

    cdef Route find(self, RequestHead head):
        """The route of a request, or None; it never raises, since what cannot be asked of a request does not match.

        25 ns for a certain host, 70 ns for Host && PathPrefix, whether among ten routers or ten thousand.
        """
        cdef bytes host = head.host_key()
        found = self.certain.get(host)
        return <Route>(self.index.find(head, host) if found is None else found)

    def find_for(self, asked):
        """The same for callers in Python, who may have any mesh.rules.request.Asked: explain, check, tests."""
        if isinstance(asked, RequestHead):
            return self.find(<RequestHead>asked)
        found = self.certain.get(asked.host)
        return self.matcher.find(asked) if found is None else found

    def __repr__(self):
        count = len(self.routes)
        return f"<Table {self.entry_point}, {count or 'no'} router{'' if count == 1 else 's'}>"


cdef class Plan:
    """A plan of nothing; compile_plan makes the others."""

    def __cinit__(self):
        self.tables, self.services, self.endpoints = {}, {}, {}
        self.transports, self.rules, self.routes = {}, {}, {}
        self.problems, self.balances = (), []

    cpdef bint refresh(self, int64_t now_ms, int64_t unix_ms=0):
        """Has all balances look at their shares, as Balance.refresh does; True: there are more, go on after a yield.

        To be called about ten times a second.  After a change that concerns everybody, one call takes about 0.3 ms.
        """
        cdef Py_ssize_t looked = 0
        cdef int64_t before
        cdef Balance balance
        while self.next_balance < len(self.balances):
            balance = <Balance>self.balances[self.next_balance]
            self.next_balance += 1
            before = balance.looked_ms
            balance.refresh(now_ms, unix_ms)
            if balance.looked_ms != before:
                looked += balance.members.count + 1
            if looked >= MEMBERS_AT_ONCE:
                return True
        self.next_balance = 0
        return False

    def explain(self, str entry_point, asked):
        """A mesh.rules.explain.Reason for every router of the entrypoint, in the order in which they are asked.

        KeyError where there is no such entrypoint.
        """
        cdef Table table = self.tables[entry_point]
        return table.matcher.explain(asked)

    def let_go(self, Plan successor not None):
        """Gives back the memory of a plan that serves no more, in small steps, yielding between them.

        At once, 10,000 routers take 4 to 7 ms.  What a request under way holds of it lives on.
        """
        cdef Table table
        for name in list(self.tables):
            table = self.tables.pop(name)
            if table is not successor.tables.get(name):
                yield from table.matcher.let_go()
                while table.entries:
                    del table.entries[-FREED_AT_ONCE:]
                    yield
        for each in (self.routes, self.rules, self.services, self.endpoints):
            while each:
                for _ in range(min(len(each), FREED_AT_ONCE)):
                    each.popitem()
                yield

    def __repr__(self):
        left_out = f", {len(self.problems)} problems" if self.problems else ""
        return (f"<Plan {len(self.routes)} routes on {len(self.tables)} entrypoints, {len(self.services)} services, "
                f"{len(self.endpoints)} endpoints{left_out}>")


def compile_plan(dynamic, entry_points, Plan previous=None, start=0, Slots slots=None):
    """Compiles the model in small steps, yielding between them, and returns the Plan.

    `entry_points` maps names to mesh.model.EntryPoint.  What says the same as in `previous` is the same object; a line
    that moved in its file says the same.  `start` is the worker's number: its column of `slots`, and workers begin
    their turns at different places.  Endpoints have the cells that `dynamic.slots` names, or without `slots` cells of
    the plan's own.  What cannot be compiled is left out and named in `problems`: a router alone, an endpoint alone, a service
    with its endpoints.  The longest step is one new rule: parsing 64 KiB of it takes 26 ms.
    """
    cdef _Compiler compiler = _Compiler(dynamic, previous if previous is not None else Plan(), start, slots)
    yield from compiler.make_services()
    entries = yield from compiler.make_routes(entry_points)
    for name in entries:
        compiler.plan.tables[name] = yield from compiler.make_table(name, entries[name])
    compiler.plan.problems = tuple(dict.fromkeys(compiler.problems))
    return compiler.plan


cdef class _Compiler:
    """A plan in the making, and the one before it."""

    cdef object dynamic, start
    cdef Slots slots
    cdef Plan before, plan
    cdef list problems

    def __cinit__(self, dynamic, Plan before, start, Slots slots):
        self.dynamic, self.start, self.slots = dynamic, start, slots
        self.before, self.plan = before, Plan()
        self.problems = []

    # Services: children first, by a stack of our own, so that their depth does not matter.

    def make_services(self):
        models, made = self.dynamic.services, self.plan.services
        begun = set()                       # weighted services on the way from the first to the one at hand
        looked = 0
        for first in models:
            path = [first]
            while path:
                name = path.pop()
                looked += 1
                if looked % OBJECTS_AT_ONCE == 0:
                    yield
                if name in made:
                    continue
                model = models[name]
                if isinstance(model.how, Weighted) and name not in begun:
                    begun.add(name)
                    path.append(name)
                    path += [child for child, _ in model.how.children
                             if child in models and child not in made and child not in begun]
                    continue
                made[name] = service = yield from self.make_service(name, model)
                if (<Service>service).balance is not None:
                    self.plan.balances.append((<Service>service).balance)
                begun.discard(name)

    def make_service(self, str name, model):
        try:
            if isinstance(model.how, Weighted):
                return self.weighted(name, model)
            service = yield from self.balanced(name, model)
            return service
        except Exception as error:
            self.left_out("services", model, error)
            return _nobody(name)

    cdef Service weighted(self, str name, model):
        cdef Service before = self.before.services.get(name)
        children = tuple([self.child(model, child) for child, _ in model.how.children])
        if (before is not None and before.model is not None and before.model.how == model.how
                and before.children == children):
            return before
        # Turns go on where the children are the same names: one of little weight would never have its own, if each
        # edit of an endpoint below began them anew.
        if before is not None and before.turns is not None and before.model.how.children == model.how.children:
            return Service(name, model, (), None, (), children, before.turns)
        turns = Wrr([weight for _, weight in model.how.children], self.start)
        return Service(name, model, (), None, (), children, turns)

    cdef Service child(self, model, str name):
        made = self.plan.services.get(name)
        if made is None:
            circle = name in self.dynamic.services
            self.left_out("services", model, _LeftOut(
                f"service \"{name}\" {'shares a circle with this one' if circle else 'is not defined'}"))
            return _nobody(name)
        return made

    def balanced(self, str name, model):
        """A load balancer: the one of the plan before, where nothing has changed that it is made of."""
        cdef Service before = self.before.services.get(name)
        cdef Balance balance
        transport = self.transport(model.how.transport)
        endpoints, servers, slots = yield from self.make_endpoints(name, model, transport)
        if before is not None and before.balance is not None and before.balance.slots is self.slots:
            same = yield from self.is_unchanged(before, model, endpoints, slots)
            if same:
                return before
        balance = Balance(model.how, len(servers), self.slots, self.start, self.start)
        sticks = model.how.sticky is not None
        for number, server in enumerate(servers):
            balance.add(server.url, server.weight, slots[number], cookie_value(server.url) if sticks else None)
            if number % ENDPOINTS_AT_ONCE == 0:
                yield
        if before is not None and before.balance is not None:
            balance.go_on_from(before.balance)
        return Service(name, model, tuple(endpoints), balance, tuple(slots))

    def make_endpoints(self, str name, model, transport):
        """The endpoints whose url can be used, their servers, and their slots.

        One that is listed twice is one endpoint with both weights: else it would count twice where endpoints are
        counted, and a request that it failed would be tried there again.
        """
        said = self.dynamic.slots.get(name, ())
        endpoints, servers, slots, places = [], [], [], {}
        for number, server in enumerate(model.how.servers):
            try:
                endpoint = self.endpoint(server.url, server.preserve_path, transport)
                place = places.setdefault(endpoint, len(endpoints))
                if place < len(endpoints):
                    servers[place] = replace(server, weight=servers[place].weight + server.weight)
                else:
                    endpoints.append(endpoint)
                    servers.append(server)
                    slots.append(said[number] if number < len(said) else -1)
            except ValueError as error:
                self.left_out("services", model, error)
            if number % ENDPOINTS_AT_ONCE == 0:
                yield
        return endpoints, servers, slots

    def is_unchanged(self, Service before, model, list endpoints, list slots):
        was, now = before.model.how, model.how
        if was is not now:
            if _but_servers(was) != _but_servers(now):
                return False
            same = yield from _is_same(was.servers, now.servers)
            if not same:
                return False
        same = yield from _is_same(before.endpoints, tuple(endpoints))
        return same and before.slots == tuple(slots)

    cdef Endpoint endpoint(self, str url, bint preserve_path, transport):
        key = (url, bool(preserve_path), transport)
        made = self.plan.endpoints.get(key)
        if made is None:
            made = self.before.endpoints.get(key)
            if made is None:
                made = Endpoint(url, preserve_path, transport)
            self.plan.endpoints[key] = made
        return made

    cdef object transport(self, str name):
        said = Transport()
        if name:
            if name not in self.dynamic.transports:
                raise _LeftOut(f'serversTransport "{name}" is not defined')
            said = replace(self.dynamic.transports[name], place=NOWHERE)
        kept = self.before.transports.get(said, said)
        return self.plan.transports.setdefault(kept, kept)

    # Routers.

    def make_routes(self, entry_points):
        """Entries for the matcher of each entrypoint."""
        entries = {name: [] for name in entry_points}
        default = [name for name in entry_points if entry_points[name].as_default] or list(entry_points)
        parsed = 0
        for number, router in enumerate(self.dynamic.routers.values(), 1):
            try:
                if router.rule not in self.before.rules:
                    parsed += 1
                rule, priority = self.rule(router.rule)
                service = self.service_of(router)
                for name in dict.fromkeys(router.entry_points) or default:
                    if name in entries:
                        route = self.route(name, router.name, service)
                        entries[name].append(Entry(router.name, router.priority or priority, rule, route))
            except Exception as error:
                self.left_out("routers", router, error)
            if number % OBJECTS_AT_ONCE == 0 or parsed == RULES_AT_ONCE:
                parsed = 0
                yield
        return entries

    cdef tuple rule(self, str text):
        known = self.plan.rules.get(text)
        if known is None:
            known = self.before.rules.get(text)
            if known is None:
                expression = parse(text)
                known = expression, default_priority(text, expression)
            self.plan.rules[text] = known
        return known

    cdef Service service_of(self, router):
        if router.middlewares:
            # None is built yet and settle() has refused this; it must not serve without what it asks for.
            raise _LeftOut(f'middleware "{router.middlewares[0]}" is not supported yet')
        service = self.plan.services.get(router.service)
        if service is None:
            raise _LeftOut(f'service "{router.service}" is not defined')
        return service

    cdef Route route(self, str entry_point, str router, Service service):
        cdef Route route = self.before.routes.get((entry_point, router))
        if route is None or route.service is not service:
            route = Route(entry_point, router, service)
        self.plan.routes[entry_point, router] = route
        return route

    # Tables.

    def make_table(self, str name, list entries):
        cdef Table before = self.before.tables.get(name)
        known = failed = None
        if before is not None:
            same = yield from _is_same(before.entries, entries)
            if same:
                return before
            known = before.matcher
        try:
            matcher = yield from Matcher.build(entries, known)
        except Exception as error:
            failed = error
        if failed is not None:
            sound = yield from self.sound(entries, known)
            if len(sound) == len(entries):
                raise failed                # no router alone is at fault
            entries = sound
            matcher = yield from Matcher.build(entries, known)
        return Table(name, matcher, entries)

    def sound(self, list entries, known):
        """The entries that can be compiled; the others are left out of the plan and named."""
        kept = []
        for entry in entries:
            try:
                yield from Matcher.build([entry], known)
                kept.append(entry)
            except Exception as error:
                del self.plan.routes[entry.target.entry_point, entry.name]
                self.left_out("routers", self.dynamic.routers[entry.name], error)
            yield
        return kept

    cdef object left_out(self, str section, model, error):
        name, _, provider = model.name.rpartition("@")
        path = f"mesh.services.{name}" if provider == "mesh" else f"http.{section}.{name or provider}"
        message, code, hint = f"cannot be compiled: {error!r}", "bad-value", ""
        if isinstance(error, RuleError):
            message, code, hint = f"rule: {error.message}, at column {error.column} of the rule", "rule", error.hint
        elif isinstance(error, _LeftOut):
            message, code = str(error), "reference"
        elif isinstance(error, ValueError):
            message = str(error)
        self.problems.append(Problem(model.place, path, message, code=code, hint=hint))


cdef Service _nobody(str name):
    """What stands for a service that cannot be compiled."""
    return Service(name, None, (), None, ())


cdef tuple _but_servers(how):
    return tuple([getattr(how, name) for name in _SAID])


def _is_same(some, others):
    """Whether two lists, or two tuples, are equal, found out in steps."""
    if len(some) != len(others):
        return False
    for at in range(0, len(some), COMPARED_AT_ONCE):
        if some[at:at + COMPARED_AT_ONCE] != others[at:at + COMPARED_AT_ONCE]:
            return False
        yield
    return True
