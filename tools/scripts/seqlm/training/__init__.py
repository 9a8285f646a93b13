"""The one loop that trains every model here; its state; the processes that take part."""
