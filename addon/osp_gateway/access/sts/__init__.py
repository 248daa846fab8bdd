"""The Security Token Service, as far as a gateway for S3 needs it: temporary keys that nobody has to store."""
