"""An event as one line for people."""
from mesh.health.events import ENDPOINT_DOWN, OVERRIDE, RELOAD, Event


def test_an_event_reads_as_a_line():
    assert str(Event(ENDPOINT_DOWN, "orders.shop", "http://10.0.0.7", "down", "status 503")) == (
        "endpoint-down orders.shop http://10.0.0.7 down: status 503")
    assert str(Event(OVERRIDE, "web@file", "http://a", "drain", "disk is full", "ann")) == (
        "override web@file http://a drain by ann: disk is full")
    assert str(Event(RELOAD, what="generation 7")) == "reload generation 7"
