"""Links: byte streams to an agent. One file a kind; what runs over them is the agent protocol."""
