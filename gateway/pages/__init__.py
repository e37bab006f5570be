"""The pages for people. They are templates and plain ES modules that talk to the API as any client does."""

from gateway.pages.router import install, missing

__all__ = ["install", "missing"]
