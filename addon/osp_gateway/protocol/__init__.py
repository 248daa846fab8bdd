"""HTTP as a strict server reads it: heads and chunked bodies, without any I/O.

Whatever two readers could understand differently is refused here, before anything else looks at it: then it does not
matter how the store, or a proxy in between, would have read it.
"""
