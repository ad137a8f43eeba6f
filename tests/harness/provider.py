"""A node that provides its blocks to IPFS."""

from .node import Node, free_port


def providing(name, *args, port=None, env=None, **how):
    """A node with a provider on the loopback; its `provider` is the port."""
    port = port or free_port()
    env = {"PINFOLD_LOG_LEVEL": "info,pinfold_node::provider=debug", **(env or {})}
    node = Node(name, mount=how.pop("mount", False), args=["--provider", f"127.0.0.1:{port}", *args], env=env, **how)
    node.provider = port
    return node
