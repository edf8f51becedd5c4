"""The demo: a small host application with the kit mounted, its people, their pages, and phones that ring on them."""

from conversation_kit.demo.host import make_demo

__all__ = ["make_demo"]
