"""What a model gives on a device, and how far that is from what it gives on this machine."""
