"""Where the figures of a running arena go beside its own store: one file a sink, one line each in `registry`."""
