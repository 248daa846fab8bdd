"""Who may do what: client keys, authorizers and the caches in front of them."""
