"""CPU per request beside other proxies, on one machine, in one run: `scripts/bench`.

The method stands in docs/performance.md.  In short: peers take turns round by round, each proxy shares one core with
its upstream and its load, and what is compared is the time that the kernel says it was on the CPU, divided by the
requests that were answered.  Not part of what is installed.
"""
