"""Models and plans for tests, in few words."""
from mesh.errors import Place
from mesh.model import Dynamic, EntryPoint, LoadBalancer, Router, Server, Service, Weighted
from mesh.plan import compile_plan

WEB = {"web": EntryPoint("web", "127.0.0.1", 80)}


def steps_of(*args, **named):
    """The plan, and how many steps it took."""
    steps = compile_plan(*args, **named)
    count = 0
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value, count
        count += 1


def compiled(dynamic, entry_points=WEB, previous=None, start=0):
    return steps_of(dynamic, entry_points, previous=previous, start=start)[0]


def service(name, *servers, **options):
    """A load balancer; servers are urls, or (url, weight)."""
    made = tuple(Server(each) if isinstance(each, str) else Server(*each) for each in servers)
    return Service(name, LoadBalancer(made, **options))


def weighted(name, **children):
    return Service(name, Weighted(tuple(children.items())))


def router(name, rule, target, *entry_points, **options):
    return Router(name, rule, target, entry_points, place=Place("conf.d/shop.yml", 3, 5), **options)


def model(*objects, transports=()):
    return Dynamic(routers={each.name: each for each in objects if isinstance(each, Router)},
                   services={each.name: each for each in objects if isinstance(each, Service)},
                   transports={each.name: each for each in transports})


def shop(*objects):
    """Two routers, two services, and whatever is added or said anew."""
    named = {each.name: each for each in (
        service("cart", "http://10.0.0.1:80", "http://10.0.0.2:80"), service("stock", "http://10.0.0.3:80"),
        router("carts", "Host(`cart.shop`)", "cart"), router("stocks", "Host(`stock.shop`)", "stock"), *objects)}
    return model(*named.values())
