"""The vocabulary of S3: request heads, addressing, operations, errors and XML. Pure data, no I/O."""
