"""AWS Signature Version 4 in both directions. Pure: no I/O, no clock of its own.

`canonical` builds what is signed, `keys` derives signing keys, `claims` reads and judges what a request says of
its signer, `verify` compares signatures, `sign` makes them, `payload` checks bodies while they stream.
"""
