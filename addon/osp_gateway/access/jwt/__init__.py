"""JSON Web Tokens as identities: RFC 7519, read as strictly as RFC 8725 advises."""
