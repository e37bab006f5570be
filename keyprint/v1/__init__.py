"""Generated from protos/keyprint/v1 by `make protos`; never edited."""
