"""The line layer: a reliable, ordered byte stream both ways over a serial line that is not (see ``docs/wire.md``).

``frames`` finds frames amid noise, ``sender`` and ``receiver`` are the two halves of a stream, ``pace`` adapts frame
size and window to what the line bears, ``endpoint`` puts them together without any input or output of its own, and
``stream`` drives an endpoint over a descriptor or a port.
"""
