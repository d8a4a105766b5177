"""The proxies that are compared, one file each: how it is configured, started and told of an edit."""
