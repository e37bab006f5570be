"""The gateway: HTTP for browsers and scripts, gRPC behind it. It keeps no state."""
