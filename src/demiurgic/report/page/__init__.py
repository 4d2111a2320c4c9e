"""One HTML page that shows what a store holds and how far it can be trusted: no network, no script, one file."""
